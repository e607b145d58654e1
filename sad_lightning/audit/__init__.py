"""Whether the labels of a person's own data help or hurt, group by group (ye2021 for everyone)."""
