"""What happens to gradients on their way back? Layer by layer, block by block, and in papers' claims."""
