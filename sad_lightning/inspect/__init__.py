"""The command that looks at a person's own data before anything is trained."""
