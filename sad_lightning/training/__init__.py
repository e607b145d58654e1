"""Training of methods under Lightning's Trainer: stages, members, ensembles, populations, cache, early stopping."""
