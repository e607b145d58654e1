"""The command that explains the scores of rows."""
