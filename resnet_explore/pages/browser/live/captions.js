/* What the page says. */

export const WAITING = "Two trained twins, block by block. They differ by their skips alone.";
export const PRIVATE = "Your photo never leaves this page.";
export const DRAW = "Draw here, or choose a digit above.";
export const STROKES = "Draw with finger, mouse or pen. By keys: arrows move the pen, Space puts it down and lifts it.";
export const NO_SUCH = "The link asks for something that this page does not have. Drawings and photos are never in a link.";
export const NO_PHOTO = "is no photo that this browser can read: please choose a JPEG, PNG or WebP.";

export const GLOSSARY = {
  skip: "The way past a block's layers, on which its input x is added to their output F(x).",
  skips: "The ways past the blocks' layers, on which a block's input x is added to F(x).",
  twins: "Two networks with the same layers, trained alike. One has skips, the other has none.",
  logit: "A network's score for one answer, before all scores are made into shares that add up to 100 %.",
};

/** @typedef {{deleted: number[], cut: number[], skip: number}} Edit */

/** @param {Edit} edit */
export const untouched = ({ deleted, cut, skip }) => !deleted.length && !cut.length && skip === 1;

const MOST_WORDS = 7; // of what was changed, so that a headline has at most 15

const listed = (numbers) => (numbers.length < 2 ? String(numbers[0]) : `${numbers.slice(0, -1).join(", ")} and ${numbers.at(-1)}`);

function numbered(what, numbers, done) {
  if (numbers.length > 2) return `${numbers.length} ${what}s ${done}`;
  return `${what[0].toUpperCase()}${what.slice(1)}${numbers.length > 1 ? "s" : ""} ${listed(numbers)} ${done}`;
}

/** What was changed, in a few words. @param {Edit} edit */
export function editWords({ deleted, cut, skip }) {
  const parts = [
    ...(deleted.length ? [numbered("block", deleted, "deleted")] : []),
    ...(cut.length ? [numbered("skip", cut, "cut")] : []),
    ...(skip === 1 ? [] : [`skips × ${skip}`]),
  ];
  const words = parts.map((part, k) => (k ? part[0].toLowerCase() + part.slice(1) : part)).join(", ");
  if (words.split(" ").length > MOST_WORDS) return `${deleted.length + cut.length + Number(skip !== 1)} changes`;
  return words[0].toUpperCase() + words.slice(1);
}

const percent = (share) => (share > 0.995 && share < 0.9995 ? `${(100 * share).toFixed(1)} %` : `${Math.round(100 * share)} %`);

/** The finding, in at most 15 words.
 *
 * @param {Edit} edit
 * @param {{color: string, first: string, share: number, was: string, kept: number[]}[]} answers plain, then residual
 * @param {string} truth what it is, where that is known
 */
export function headline(edit, answers, truth) {
  const [plain, residual] = answers;
  if (!untouched(edit)) {
    if (answers.every(({ first, was, color, kept }) => first === was && first === plain.first && !spared(edit, color, kept))) return `${editWords(edit)}: both still say ${plain.first}.`;
    const told = answers.map(({ color, first, was, kept }, k) => `${color}${spared(edit, color, kept)} ${first === was ? "still" : "now"}${k ? "" : " says"} ${first}`);
    return `${editWords(edit)}: ${told.join(", ")}.`;
  }
  if (plain.first === residual.first) return `Both say ${plain.first}: plain with ${percent(plain.share)}, residual with ${percent(residual.share)}.`;
  return `${truth ? `${truth === "8" ? "An" : "A"} ${truth}: plain` : "Plain"} says ${plain.first} (${percent(plain.share)}), residual says ${residual.first} (${percent(residual.share)}).`;
}

/** Why a network is as it was though something was changed. */
function spared({ deleted }, color, kept) {
  if (color === "plain" && !deleted.length) return " (has none)";
  if (!kept.length) return "";
  return kept.length < deleted.length ? ` (keeps ${kept.length})` : kept.length === 1 ? " (keeps it)" : " (keeps them)";
}

export const WHY = {
  none: "The networks have the same layers and were trained alike. Where they are deep, the plain one is hard to train: its error stays high on the very images that it was trained on. What each says of this image is one example of that.",
  deleted: "A residual block gives x + F(x). Without F the image still comes through as x, and the other blocks go on adding to it. A plain block gives only F(x): the blocks behind it get what none of them has ever seen.",
  cut: "The layers behind a block were trained on x + F(x). With less of x, what they get is another sum, and all that earlier blocks have found comes through weaker or not at all. A plain network has no x to lose.",
};

/** How the answers come about. @param {Edit} edit */
export const why = (edit) => WHY[untouched(edit) ? "none" : edit.deleted.length ? "deleted" : "cut"];

/** Why a block stays. */
export const stays = (takes, gives) => `it stays: without a skip nothing else turns ${takes.join("×")} into ${gives.join("×")}`;

/** That some blocks were left in. @param {number[]} numbers */
export function staysNote(numbers) {
  if (!numbers.length) return "";
  const many = numbers.length > 1;
  return `Block${many ? "s" : ""} ${listed(numbers)} stay${many ? "" : "s"}: nothing else brings the maps to their new shape.`;
}

export const HEAT_SIGNS = "{plus} speaks for the answer, {minus} against";

/** On what the answers rest. */
export function conditions(twins, facts, kind, side) {
  const seen = kind === "digits"
    ? "A drawing is fitted into 32×32 pixels of ink or none, and counted in squares of 4×4, as the digits of the training were: 8×8 pixels of grey."
    : `Of a photo the middle square is seen, ${side}×${side} pixels. The networks know ten names and give one of them to whatever is shown.`;
  return [
    ...twins.map((twin) => `${twin.name}: ${twin.test_error.toFixed(1)} % errors on test images of ${twin.data}. Made by: ${twin.provenance}.`),
    seen,
    "Nothing is trained again. A block that is deleted adds nothing, and its skip stays, with the ReLU behind the sum. A plain block is passed by, where its input has the shape of its output.",
    "Class activation maps (Zhou et al. 2016) at the last block, each for the network's own answer: all squares and the bias add up to that answer's logit, exactly, as the network ends in a mean over places and one linear layer.",
    `All is computed in this page, by ${facts.runtime} on one thread. ${PRIVATE} Sample photos: ${facts.kinds.cifar10.samples.map(({ label, credit }) => `${label}, ${credit}`).join("; ")}.`,
  ];
}

export const loading = (bytes) => `Loading two networks${bytes > 1e7 ? " and what runs them" : ""}, ${(bytes / 1e6).toFixed(bytes > 1e7 ? 0 : 1)} MB …`;
export const RUNNING = "The networks are at work …";
