"""Data sets as arrays, their semi-supervised splits, and the one LightningDataModule that serves both."""
