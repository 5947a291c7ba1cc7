"""Training loops, losses, checkpoints and data loaders."""
