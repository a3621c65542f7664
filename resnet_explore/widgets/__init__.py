"""Explorers: controls wired to the other rooms. They own no mathematics."""
