"""How the relative scoring bias converges with the number of validation rows (ye2021 4.2, Figures 2 and 9 to 17)."""
