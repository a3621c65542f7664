"""The saliency explorer: where two networks look, block by block, and whether to believe it."""
