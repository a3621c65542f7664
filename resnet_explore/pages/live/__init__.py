"""A page on which both twins run in the browser: draw a digit or drop a photo, take blocks out, watch."""
