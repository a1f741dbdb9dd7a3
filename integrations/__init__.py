"""Everything about one outside service is in one folder; what they share (outbox, polls, tasks) is here."""
