"""The `resnet-explore` command."""
