"""Everything about Slack."""
