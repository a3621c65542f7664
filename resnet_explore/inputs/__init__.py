"""What goes in: labelled sets of images, a person's own image, and sample photos."""
