"""What the lesson says. Short sentences; a word that needs one has its explanation in the glossary."""

from collections.abc import Sequence

from resnet_explore.analysis.gradients.slope import EXPLODES, GROWS, LEVEL, SHRINKS, STAYS, VANISHES
from resnet_explore.widgets.core.words import listed, multiple, percent

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
    "What happens in practice? The dot is a network of 8 layers. It has learned all its training images. "
    "Draw how the error goes on, up to 110 layers.",
)
DEEPER_SHOWN = (
    "These are the images that the networks learned from. A network that learns them by heart would be good "
    "at them, so this is not overfitting. The deep plain networks just could not be trained.",
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
    ends = f"You drew about {drawn:.0f} % at {depth} layers; the plain networks end at {percent(plain)}."
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
    "Look at F(x): it is not the temple but a change to the temple. The layers need not build the picture "
    "anew. If there is nothing to change, F(x) can be 0 and the block does no harm.",
    "Now take the addition away: untick “Add x”.",
)
ADDITION_LAYERS = ("conv", "norm", "ReLU", "conv", "norm")
ADDITION_SIGNS = "Red is above 0, blue below, white is 0."


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
        "The eight channels whose sums vary most are on the slider. " + ADDITION_SIGNS,
        "Only this block's skip is taken away, after training. Nothing is trained again.",
        "A ReLU follows the sum: what is below 0 becomes 0 before the next block.",
    )


# --- 3: it can be trained ---------------------------------------------------------------------------------

TRAINING = (
    "Both networks have 56 layers, the same random start, and see the same images in the same order. Only "
    "the skips differ. The lines are a training that was recorded.",
    "Press Train both. Now it happens here, in ten to twenty seconds, from another random start.",
    "The residual network learns at once. The plain one has all the layers that it needs, and hardly gets "
    "anywhere. Why?",
)
TRAINING_RECORDED = (
    TRAINING[0],
    TRAINING[2],
    "In the notebook you can train both yourself, in ten to twenty seconds.",
)
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

GRADIENTS = (
    "Training changes each layer along its gradient. Many books say: in deep plain networks the gradient "
    "vanishes on its way back to the first layers, and skips prevent that.",
    "Look at update 0, before anything is learned. The plain gradient does not vanish. It explodes: each "
    "layer towards the image has more of it.",
    "Now move on by ten updates. Then by 43.",
)

_WORDS = {
    EXPLODES: "explodes",
    GROWS: "grows",
    STAYS: "stays level",
    SHRINKS: "shrinks",
    VANISHES: "vanishes",
}


def gradients_headline(update: int, plain: tuple[float, str], residual: tuple[float, str]) -> str:
    """Return what both gradients do, (ratio of the first block's to the last's, the word for it) each."""
    when = {0: "Before training", 1: "After 1 update"}.get(update, f"After {update} updates")
    return (
        f"{when}, the plain gradient {_WORDS[plain[1]]} ({multiple(plain[0])}); the residual one "
        f"{_WORDS[residual[1]]} ({multiple(residual[0])})."
    )


def gradients_why(growth: float) -> str:
    """Return how the gradients come about, with how much longer each layer makes a new plain network's."""
    return (
        "The numbers compare the gradient of the first block with that of the last. In this new plain "
        f"network each layer makes the gradient about {100 * (growth - 1):.0f} % longer on its way back, "
        "and that multiplies up. The layers with the longest gradients then take the largest steps. After "
        "those they hardly pass anything on, so the gradient vanishes."
    )


GRADIENTS_QUESTION = "A new plain network of {depth} layers. How large is the gradient at its first block?"
GRADIENTS_GUESSES = {
    "vanishes": "Much smaller than at the last block: it vanishes",
    "level": "About the same",
    "explodes": "Much larger than at the last block: it explodes",
}
GRADIENTS_RULE = f"Much means more than {LEVEL**2:g} times, measured before the first update."
GRADIENTS_REPLIES = {
    "vanishes": "That is what most textbooks say, and here it is the other way round.",
    "level": "With skips it would be so, or nearly.",
}


def gradients_told(plain: float, residual: float) -> str:
    """Return what was measured, the ratios of the first block's gradient to the last's."""
    return f"The first block's is {multiple(plain)} the last's (with skips {multiple(residual)})."


def gradients_conditions(seeds: int) -> tuple[str, ...]:
    """Return on what the gradients were measured, and by which rule they get their words."""
    return (
        "Recorded while the networks of step 1 were trained, in train mode, with batch norm, on each "
        f"update's own 64 images; mean of {seeds} seeds.",
        f"Level means within a factor of {LEVEL:g}. Beyond {LEVEL**2:g} it explodes or vanishes.",
        "Without batch norm, or in eval mode, the picture is another: see 02 · Gradient flow.",
    )


# --- 5: many short ways -------------------------------------------------------------------------------------

WAYS = (
    "Both networks are trained. Now a block is taken out, and nothing is trained again.",
    "The plain network is a chain: every signal passes every block. Break one, and all is lost. In the "
    "residual network a signal can go through a block or past it. Three blocks give 2·2·2 = 8 ways, nine "
    "give 512. Take one block out, and half of the ways are left.",
    "Click other blocks. Do all matter alike?",
)


def ways_headline(gone: Sequence[int], plain: float, residual: float) -> str:
    """Return both errors in percent with some blocks taken out."""
    if not gone:
        what = "With all blocks in place"
    else:
        what = f"Without block{'s' * (len(gone) > 1)} {listed([str(k) for k in gone])}"
    return f"{what}, plain gets {percent(plain)} wrong, residual {percent(residual)}."


def ways_left(gone: int, blocks: int) -> str:
    """Return how many ways through the residual network are open."""
    return (
        f"All {blocks} blocks make 2 to the power of {blocks} = {2**blocks} ways; "
        f"{2 ** (blocks - gone)} are open now."
    )


def ways_conditions(images: int, depth: int) -> tuple[str, ...]:
    """Return what the errors were measured on."""
    return (
        f"Twins of {depth} layers, trained on handwritten digits (seed 0). Errors are on {images} digits "
        "that they did not learn from; who guesses gets 90 % wrong.",
        "A pale block changes the size of the maps. Without a skip nothing else can, so in the plain network "
        "it stays.",
    )


STAYS_WORDS = "it stays: nothing else changes the size of the maps"
