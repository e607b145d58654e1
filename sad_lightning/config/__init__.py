"""Settings: composing them with Hydra, errors of Hydra in one line, the folder of the configuration, its options."""
