"""How the relative scoring bias converges on the synthetic set (ye2021 section 4.2, Figure 2)."""
