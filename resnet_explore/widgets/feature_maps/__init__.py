"""What do the channels say? Feature maps of twins on one image, block by block and depth by depth."""
