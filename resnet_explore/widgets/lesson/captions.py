"""What the lesson says. Short sentences; a word that needs one has its explanation in the glossary."""

from collections.abc import Sequence

from resnet_explore.analysis.gradients.slope import EXPLODES, GROWS, LEVEL, SHRINKS, STAYS, VANISHES
from resnet_explore.widgets.core.words import factor, listed, multiple, percent

GLOSSARY = {
    "plain": "A network without skips: each block hands on only what its own layers make.",
    "residual": "A network with skips: each block adds what its layers make to what came in.",
    "skip": "The way past a block's layers. What comes in is added to what the layers make of it.",
    "skips": "The ways past the blocks' layers. What comes into a block is added to what its layers make.",
    "training error": "Of the images that a network learns from, the share that it still gets wrong.",
    "overfitting": "Knowing the training images by heart, and failing on new ones.",
    "gradient": "How much the error would change if a weight changed a little. Training follows it downhill.",
    "loss": "What training makes smaller: how surprised the network is by the right answers.",
    "seed": "The number that random starts come from. Another seed is another start.",
}

# --- 1: deeper should not be worse --------------------------------------------------------------------------

DEEPER_QUESTION = "Add layers to a network that works. What happens to its training error?"
DEEPER_ASKED = (
    "A deeper network can do all that a shallower one can. The extra layers only have to pass on what they "
    "get. So deeper should not be worse.",
    "What happens in practice? These networks learn to read handwritten digits. Pure guessing gets 90 % "
    "wrong. The dot is a network of 8 layers: it has learned nearly all its training images.",
    "Draw how the error goes on, up to 110 layers.",
)
GUESSING = "pure guessing"
BANDS = "Bands: from the best to the worst of {seeds} trainings."
DEEPER_SHOWN = (
    "These are the images that the networks learned from. A network that learns them by heart would be good "
    "at them, so this is not overfitting. The same training just does not get the deep plain networks there.",
    "The blue networks have the same layers and the same start. They have one thing more: in each block, "
    "what comes in is added to what comes out. That is the skip connection. Next, you see one.",
)


def deeper_headline(plain: float, residual: float, depth: int) -> str:
    """Return what was measured at the largest depth, errors in percent."""
    return f"At {depth} layers, plain networks get {percent(plain)} wrong, residual ones {percent(residual)}."


def compared(drawn: float, plain: float, depth: int) -> str:
    """Return how a guess of the plain network's error lies to what was measured, in percent."""
    if drawn < 0:
        return "Would you have guessed so?"
    ends = f"You drew {drawn:.0f} % at {depth} layers; the plain networks end at {percent(plain)}."
    if abs(drawn - plain) <= 10:
        return f"{ends} That is close."
    if drawn < 10:
        return f"{ends} You drew what one should expect. The networks did otherwise."
    if drawn < plain:
        return f"{ends} The right direction, and it is worse than you thought."
    return f"{ends} The right direction, and not quite as bad as you thought."


def deeper_conditions(seeds: int) -> tuple[str, ...]:
    """Return on what the errors were measured."""
    return (
        "Recorded: networks of 8 channels, 8 epochs on 1,437 handwritten digits of 8×8 pixels. Each point is "
        f"the mean of {seeds} seeds, the band goes from the best of them to the worst.",
        "Ten digits: who guesses gets 90 % wrong.",
        "Your line is compared at its right end; within 10 points counts as close.",
    )


# --- 2: one addition ----------------------------------------------------------------------------------------

ADDITION = (
    "This is one block of a trained network. A photo of a temple has come this far as x. The block's layers "
    "make F(x) of it, and the skip adds x itself: x + F(x) goes on.",
    "Look at F(x): it is no second temple, but what the block changes. In channel 1 it takes away the sky "
    "and leaves the temple. The layers need not build the picture anew: if there is nothing to change, F(x) "
    "can be 0 and the block does no harm.",
    "The network knows ten things. A church is the nearest to a temple. Now take the addition away: untick "
    "“Add x”.",
)
ADDITION_TAKEN = (
    "You took one addition away. What goes on now is F(x) alone: the change without the picture that it "
    "was meant for.",
    "All later blocks have learned to expect x + F(x). They never saw F(x) alone, and the network no longer "
    "says church.",
    "Tick “Add x” again: it is back.",
)
ADDITION_LAYERS = ("conv", "norm", "ReLU", "conv", "norm")
ADDITION_SIGNS = "Red: above 0. White: 0. Blue: below 0; in the sum, a ReLU then makes it 0."
ADDITION_BEFORE = "with the skip"


def addition_headline(joined: bool, answer: str, share: float, before: str) -> str:
    """Return what the network answers with or without the addition of one block."""
    if joined:
        return f"The block adds to the picture. The network says: {answer}, {percent(100 * share)} sure."
    return f"One addition less, and {before} becomes {answer} ({percent(100 * share)})."


def addition_side(joined: bool) -> str:
    """Return what is asked, in words."""
    return "The whole residual network" if joined else "The network without this addition"


def addition_conditions(network: str, block: str, shape: Sequence[int], size: int) -> tuple[str, ...]:
    """Return what is looked at."""
    return (
        f"{network}, trained on ten classes of photos; block {block}, {shape[0]} channels of "
        f"{shape[1]}×{shape[2]}. The photo has {size}×{size} pixels for the network.",
        "The eight channels whose sums vary most are on the slider.",
        "Only this block's skip is taken away, after training. Nothing is trained again: this network "
        "learned with the addition, so it depends on it.",
        "A ReLU follows the sum: what is below 0 becomes 0 before the next block.",
    )


# --- 3: it can be trained ---------------------------------------------------------------------------------

TRAINING = (
    "Both networks have 56 layers, the same random start, and see the same images in the same order. Only "
    "the skips differ. The lines are a training that was recorded.",
    "Is it chance? Press Train both: then it happens here, from another random start. It takes ten to "
    "twenty seconds, on a busy computer up to a minute.",
)
TRAINING_RECORDED = (
    TRAINING[0],
    "The residual network learns at once. The plain one has all the layers that it needs, and hardly gets "
    "anywhere. Why?",
    "In the notebook you can train both yourself, in ten to twenty seconds.",
)
TRAINING_GOING = (
    "Both networks learn here and now, on this computer. They see the same images in the same order.",
    "The faint lines are the recorded training, from another random start.",
)
TRAINING_DONE = (
    "You have trained both yourself. The faint lines are the recorded training, from another random start.",
    "The residual network learns at once. The plain one has all the layers that it needs, and hardly gets "
    "anywhere. Why?",
)
TRAINING_BUILDS = "Building both networks, each of 56 layers ..."
TRAIN = "Train both"


def training_progress(done: int, updates: int) -> str:
    """Return how far a training is."""
    return f"Update {done} of {updates}" if done else "Building both networks ..."


def training_headline(updates: int, plain: float, residual: float) -> str:
    """Return how far both are, errors in percent."""
    return f"After {updates} updates, plain gets {percent(plain)} wrong, residual {percent(residual)}."


def training_conditions(updates: int, window: int) -> tuple[str, ...]:
    """Return how both are trained."""
    return (
        f"56 layers, 8 channels, {updates} updates of 64 handwritten digits each, SGD with momentum 0.9 and "
        "a rate of 0.04. The recorded training has seed 0, each one here the next seed.",
        f"Wrong answers are counted in each update's 64 images before it, mean of the last {window} updates. "
        "Who guesses gets 90 % wrong.",
    )


# --- 4: gradients -------------------------------------------------------------------------------------------

GRADIENTS_INTRO = (
    "Training changes each layer against its gradient, downhill. Many books say: in deep plain networks the "
    "gradient vanishes on its way back to the first layers, and skips prevent that."
)
_GRADIENTS_MOVE = "Now move Updates to 10, then to 43."
_GRADIENTS_SEEN = {
    EXPLODES: "Here the plain gradient does not vanish. It explodes: each layer nearer to the image has more "
    "of it. " + _GRADIENTS_MOVE,
    GROWS: "Here the plain gradient does not vanish. It grows towards the image. " + _GRADIENTS_MOVE,
    STAYS: "Here the plain gradient is about the same in all blocks.",
    SHRINKS: "Now the plain gradient shrinks towards the image.",
    VANISHES: "Now the plain gradient does vanish towards the first blocks. First their steps were far too "
    "large, now they are far too small.",
}


def gradients_words(plain: str, residual: float) -> tuple[str, ...]:
    """Return the paragraphs beside the gradients.

    plain     what the plain network's gradient does here, as `slope` says it
    residual  the largest ratio of the residual network's over all updates, of the larger end to the smaller
    """
    closing = (
        f"In the residual network first and last block stay within {factor(residual)}× of each other all the "
        "time: the skips hand the gradient on, beside the layers."
    )
    caution = (
        "It is a part of the answer, not all of it: with 56 layers the plain gradient is soon level, and "
        "that network fails, too."
    )
    return (
        GRADIENTS_INTRO,
        _GRADIENTS_SEEN[plain],
        *((closing, caution) if plain in (SHRINKS, VANISHES) else ()),
    )


_WORDS = {
    EXPLODES: "explodes",
    GROWS: "grows",
    STAYS: "stays level",
    SHRINKS: "shrinks",
    VANISHES: "vanishes",
}


def gradients_headline(update: int, plain: tuple[float, str], residual: float) -> str:
    """Return what both gradients do, by the first block's over the last's; the plain one's with its word."""
    when = {0: "Before training", 1: "After 1 update"}.get(update, f"After {update} updates")
    ratio, word = plain
    return f"{when}, the plain gradient {_WORDS[word]}: {multiple(ratio)} (residual: {multiple(residual)})."


def gradients_why(growth: float) -> str:
    """Return how the gradients come about, with how much longer each layer makes a new plain network's."""
    return (
        "The numbers compare the gradient of the first block with that of the last. In this new plain "
        f"network each layer makes the gradient on average {100 * (growth - 1):.0f} % larger on its way "
        "back, and that multiplies up. At 110 layers it vanishes a few updates later: probably because the "
        "layers with the largest gradients took the largest steps, and hardly pass anything on since then."
    )


GRADIENTS_QUESTION = (
    "Training changes a layer against its gradient. In a new plain network of {depth} layers, how large is "
    "it at the first block?"
)
GRADIENTS_GUESSES = {
    "vanishes": "Much smaller than at the last block: it vanishes",
    "level": "About the same",
    "explodes": "Much larger than at the last block: it explodes",
}
GRADIENTS_RULE = f"Much means more than {LEVEL**2:g} times, measured before the first update."
GRADIENTS_REPLIES = {
    "vanishes": "Most textbooks say that it vanishes, as you did. Keep that, and see what comes later.",
    "level": "With skips it is nearly so.",
}


def gradients_short_why(growth: float, depth: int) -> str:
    """Return why it explodes, for who has just guessed."""
    return (
        f"Each layer makes the gradient about {100 * (growth - 1):.0f} % larger on its way back. Over "
        f"{depth} layers that multiplies up."
    )


def gradients_told(plain: float, residual: float) -> str:
    """Return what was measured, the ratios of the first block's gradient to the last's."""
    return (
        f"Before training, the first block's gradient is {multiple(plain)} the last block's (with skips "
        f"{multiple(residual)})."
    )


def gradients_conditions(seeds: int) -> tuple[str, ...]:
    """Return on what the gradients were measured, and by which rule they get their words."""
    return (
        "Recorded while the networks of step 1 were trained, in train mode, with batch norm, on each "
        f"update's own 64 images; mean of {seeds} seeds. The rate begins low and rises, up to 0.04.",
        f"Level means within a factor of {LEVEL:g}. Beyond {LEVEL**2:g} it explodes or vanishes.",
        "Without batch norm, or in eval mode, the picture is another: see 02 · Gradient flow.",
    )


# --- 5: many ways -------------------------------------------------------------------------------------------

WAYS_LEARNED = (
    "Both networks have learned to read digits: whole, plain gets {} of new ones wrong, residual {}."
)
WAYS = (
    "The plain network is a chain: every signal passes every block. Take one out, and all is lost. In the "
    "residual network a signal goes through a block or past it. Three blocks give 2·2·2 = 8 ways, nine give "
    "512. Take one block out, and half of them are left.",
    "Half of the {all} ways pass at most {few} of the nine blocks. Only one passes all.",
)
WAYS_BEFORE = "the whole network"
WAYS_ASK = "Click other blocks. Do all matter alike?"


def ways_learned(plain: float, residual: float) -> str:
    """Return how good both networks are with all their blocks, errors in percent."""
    return WAYS_LEARNED.format(percent(plain), percent(residual))


def ways_matter(errors: Sequence[float]) -> str:
    """Return which blocks matter, by the residual network's error without each alone, in percent."""
    worst, least = (errors.index(pick(errors)) for pick in (max, min))
    return (
        f"No, they don't. Without block {worst + 1} alone the residual network gets {percent(errors[worst])} "
        f"wrong. Without block {least + 1} it is {percent(errors[least])}. Here the early blocks matter "
        "most: all that follows builds on them. Half of the ways are left each time, so how many there are "
        "does not say how much a block matters."
    )


def ways_headline(gone: Sequence[int], stays: bool, plain: float, residual: float) -> str:
    """Return both errors in percent with some blocks taken out.

    stays  whether the plain network keeps all of them
    """
    if stays and gone:
        blocks = listed([str(k) for k in gone])
        return f"Residual without block {blocks}: {percent(residual)} wrong. Plain can't lose it."
    if not gone:
        what = "With all blocks in place"
    else:
        what = f"Without block{'s' * (len(gone) > 1)} {listed([str(k) for k in gone])}"
    return f"{what}, plain gets {percent(plain)} wrong, residual {percent(residual)}."


def ways_left(gone: int, blocks: int) -> str:
    """Return how many ways through the residual network are open."""
    return (
        f"All {blocks} blocks make {2**blocks} ways; {2 ** (blocks - gone)} are open now. Three neighbours "
        "are drawn. The number behind a way says how many blocks it passes."
    )


def ways_conditions(images: int, depth: int) -> tuple[str, ...]:
    """Return what the errors were measured on."""
    return (
        f"Twins of {depth} layers, trained on handwritten digits (seed 0). Errors are on {images} digits "
        "that they did not learn from; who guesses gets 90 % wrong.",
        "A pale block changes the size of the maps. Without a skip nothing else can, so in the plain network "
        "it stays. Where any other block is out of the plain network, what came in is passed on as it is.",
        "Batch norm keeps the numbers that it learned with all blocks. With new ones the residual network "
        "loses less, the plain one hardly less: 06 · Skips, Many edits.",
    )


STAYS_WORDS = "it stays: nothing else changes the size of the maps"
