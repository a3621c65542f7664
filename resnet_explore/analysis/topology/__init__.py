"""How a network is wired: one trace, and what others ask of it."""
