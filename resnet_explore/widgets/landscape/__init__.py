"""How the loss lies around a trained network, over planes of its weights: is it smoother with skips?"""
