"""What is compared: one frozen config gives one network, and every residual network has a plain twin."""
