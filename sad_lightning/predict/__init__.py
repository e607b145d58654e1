"""The command that scores new rows with a model file."""
