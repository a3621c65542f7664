"""What we measure on any torch.nn.Module: each file answers one question and leaves the model as found."""
