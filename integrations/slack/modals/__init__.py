"""The dialogs."""

from integrations.slack.modals.deciding import approve, details, reject
from integrations.slack.modals.rolling_back import rollback

__all__ = ["approve", "details", "reject", "rollback"]
