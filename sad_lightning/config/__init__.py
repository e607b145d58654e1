"""Where Hydra ends: composing settings, wording what was typed wrong, where the files lie."""
