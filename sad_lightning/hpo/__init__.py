"""The command that searches for settings."""
