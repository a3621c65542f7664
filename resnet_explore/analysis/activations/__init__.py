"""What goes forward: statistics, feature maps and the sums of the skips."""
