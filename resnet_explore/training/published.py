"""What He, Zhang, Ren and Sun (2015, arXiv 1512.03385) report themselves, to be laid beside our own runs."""

PAPER = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2015, arXiv 1512.03385"

CIFAR_TEST_ERROR: dict[int, float] = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}
"""Table 6: test error in percent of residual networks by depth; CIFAR-10, 164 epochs with crops and flips.

The network with 110 layers is the best of five runs, 6.61 ± 0.16 in the mean. Plain networks are not in the
table: the paper draws them as curves (Fig. 1 and 6).
"""

IMAGENET_TOP1_ERROR: dict[int, dict[str, float]] = {
    18: {"plain": 27.94, "residual": 27.88},
    34: {"plain": 28.54, "residual": 25.03},
}
"""Table 2: top-1 error in percent on ImageNet's validation images, ten crops each, by depth and kind."""
