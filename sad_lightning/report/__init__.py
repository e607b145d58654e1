"""What many cells say together, beside what the papers print. Torch-free."""
