"""Where networks can be asked to be computed; said here, so that a plan needs no torch."""

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
