"""Static pages: what a browser shows without Python behind it."""
