"""Arrays in, a matplotlib figure or an encoded picture out: no torch, no widgets, no files."""
