"""What comes back: gradients layer by layer, image by image, step by step."""
