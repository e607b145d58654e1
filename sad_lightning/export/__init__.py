"""The command that writes a model file as one graph."""
