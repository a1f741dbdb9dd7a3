"""Everything about GitHub."""
