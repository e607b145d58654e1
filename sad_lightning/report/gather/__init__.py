"""From result.json files and the papers' numbers to frozen values, which tables, figures and the page are made of."""
