"""The browser's side of the explorers: ES modules, one stylesheet, and what makes one script of them."""
