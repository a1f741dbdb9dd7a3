"""How deciding and delivering go: figures, their definitions, and exactly the rows that each one counts."""
