"""The methods that make a map of one layer."""
