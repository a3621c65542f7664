"""What papers say about gradients, measured anew."""
