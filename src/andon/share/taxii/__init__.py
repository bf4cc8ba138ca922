"""TAXII 2.1 (OASIS Standard, 10 June 2021): objects served read-only, pulled from others, and pushed to them."""
