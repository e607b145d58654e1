"""A stage under the Trainer: members, ensembles, populations, the cache, early stopping."""
