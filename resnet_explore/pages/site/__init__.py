"""The static site: stories with their explorers, the reference, the pages of docs."""
