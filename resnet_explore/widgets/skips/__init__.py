"""The skip explorer: cut blocks and turn skips down in trained twins, and see what becomes of the answer."""
