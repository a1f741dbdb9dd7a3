"""Everything about serving layers: each has an address that tells which version it serves."""
