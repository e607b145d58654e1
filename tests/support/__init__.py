"""What several tests share: commands, methods and their data, grids, results."""
