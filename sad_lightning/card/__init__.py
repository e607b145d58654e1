"""The page that a training on own data leaves beside its model: what a person shows to a colleague."""
