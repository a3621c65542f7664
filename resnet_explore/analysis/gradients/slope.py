"""What a ratio of gradients is called: the first block's over the last's, or the like."""

import numpy as np

# Networks in which nothing makes gradients grow, as plain ones of 56 layers without norm, differ by chance of
# their weights: over ten seeds their ratio goes from 0.8 to 5.5. So what lies within 10 either way is level.
LEVEL = 10.0
STEEP = LEVEL**2

VANISHES, SHRINKS, STAYS, GROWS, EXPLODES = "vanishes", "shrinks", "stays level", "grows", "explodes"


def slope(ratio: float) -> str:
    """Return the word for a ratio, such as `STAYS` from 1/LEVEL to LEVEL: what it does towards the image.

    A ratio that is infinite or not a number has overflowed: it explodes.
    """
    if not np.isfinite(ratio) or ratio > STEEP:
        return EXPLODES
    if ratio > LEVEL:
        return GROWS
    if ratio >= 1 / LEVEL:
        return STAYS
    return SHRINKS if ratio >= 1 / STEEP else VANISHES
