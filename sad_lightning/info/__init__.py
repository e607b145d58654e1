"""The command that says what is installed, for a bug report."""
