"""Where did the network look? Methods, what is asked about, and whether to believe them."""
