"""Pictures of ideas: the figures of the papers that explain, computed and drawn."""
