"""How networks become trained: one run, sweeps of many, what they leave on disk."""
