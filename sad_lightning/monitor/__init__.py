"""The command that watches over time whether rows are still as in training."""
