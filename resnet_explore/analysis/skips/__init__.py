"""What do the skips do? Edit a network's blocks and skips, and see what becomes of it."""
