"""What passes through a network, and what it costs to look."""
