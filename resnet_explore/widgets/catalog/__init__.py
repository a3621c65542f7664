"""Which networks and which images a menu offers, said once for all explorers."""
