/* The networks: fetched when they are asked for, and run by onnxruntime-web. */

/** What went wrong, in a sentence for the person. */
export class Trouble extends Error {}

const DISK = "Opened from a disk, a page may load no networks: run “python -m http.server” in its folder and open http://localhost:8000.";
const NOT_STARTED = "The runtime did not start: WebAssembly is blocked here, or a file of runtime/ is missing. Reload the page to try again.";
const NO_WASM = "This browser runs no WebAssembly, which the networks need: allow it, or try another browser.";

/** The runtime is a file of its own, so it comes by `import()`: all else on this page is in one script. */
async function load() {
  if (location.protocol === "file:") throw new Trouble(DISK);
  if (typeof WebAssembly !== "object") throw new Trouble(NO_WASM);
  let ort;
  try {
    ort = await import(new URL("runtime/ort.js", document.baseURI).href);
  } catch {
    throw new Trouble("The runtime is missing: runtime/ort.js can't be loaded. Change something to try again.");
  }
  ort.env.wasm.numThreads = 1; // more would ask every host for headers of its own
  const [mjs, wasm] = ["runtime/ort-wasm.js", "runtime/ort-wasm.wasm"].map((file) => new URL(file, document.baseURI).href);
  ort.env.wasm.wasmPaths = { mjs, wasm };
  ort.env.logLevel = "error";
  return ort;
}

/** The same promise as long as it does not fail: what failed is tried again. */
function kept(make) {
  let promise = null;
  return () => {
    promise ??= make().catch((problem) => {
      promise = null;
      throw problem;
    });
    return promise;
  };
}

const runtime = kept(load); // once for all networks

async function fetched(file) {
  const answer = await fetch(new URL(file, document.baseURI)).catch(() => null);
  if (!answer?.ok) throw new Trouble(`A network is missing: ${file} can't be loaded${answer ? ` (${answer.status})` : ""}. Change something to try again.`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** One network. `about` is what the page's facts say of it. */
export class Network {
  constructor(about, form) {
    this.about = about;
    this.form = form;
    this.residual = about.color === "residual";
    this.there = false;
    this.open = kept(() => this.opened());
  }

  async opened() {
    const [ort, bytes] = await Promise.all([runtime(), fetched(this.about.file)]);
    try {
      const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
      this.there = true;
      return { ort, session };
    } catch (problem) {
      if (/backend|wasm/i.test(String(problem))) throw new Trouble(NOT_STARTED);
      throw new Trouble(`A network can't be read: ${this.about.file} is damaged. Change something to try again.`);
    }
  }

  /** Run an image through the network as it is edited.
   *
   * @param {Float32Array} values standardised, (C, side, side) @param {{deleted: number[], cut: number[], skip: number}} edit
   * @returns {Promise<{logits: Float32Array, blocks: {data: Float32Array, shape: number[]}[]}>}
   */
  async run(values, edit) {
    const { ort, session } = await this.open(), { side, mean } = this.form, { skip, branch } = this.factors(edit);
    const tensor = (data, shape) => new ort.Tensor("float32", data, shape);
    const found = await session.run({ image: tensor(values, [1, mean.length, side, side]), skip: tensor(skip, [skip.length]), branch: tensor(branch, [branch.length]) });
    return { logits: found.logits.data, blocks: this.about.blocks.map((_, k) => ({ data: found[`block${k + 1}`].data, shape: [...found[`block${k + 1}`].dims] })) };
  }

  /** What skips and branches are multiplied by. A plain block that is out is passed by, if its shapes allow. */
  factors({ deleted, cut, skip: dial }) {
    const { blocks } = this.about, out = blocks.map((block) => deleted.includes(block.number) && block.goes);
    const skip = blocks.map((block, k) => (this.residual ? (cut.includes(block.number) ? 0 : dial) : Number(out[k])));
    return { skip: Float32Array.from(skip), branch: Float32Array.from(out, (gone) => (gone ? 0 : 1)) };
  }
}
