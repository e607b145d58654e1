"""The command that says why rows score as they do."""
