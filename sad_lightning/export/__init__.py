"""The command that writes a model file as one graph, or for a model hub."""
