"""How a heatmap is computed: each method once, its formula beside what is to be known of it.

`registry` holds them. Nothing here loads torch or captum before a formula is used, so menus and `--help`
come at once.
"""

from resnet_explore.analysis.explain.methods import cams, pixels  # each registers its methods

__all__ = ["cams", "pixels"]
