"""What flows along the skips to the answer: what each block adds, and what it would be so far."""
