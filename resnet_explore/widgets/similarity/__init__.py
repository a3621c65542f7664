"""Do layers repeat each other? Matrices of debiased linear CKA, side by side and over depth."""
