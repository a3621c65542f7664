"""Networks that train while one watches, and can be changed meanwhile."""
