"""Small tasks, each checked on the spot: what is right, what is not yet, and a hint, never the solution."""
