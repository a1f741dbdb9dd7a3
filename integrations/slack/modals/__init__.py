"""The dialogs."""

from integrations.slack.modals.deciding import approve, reject
from integrations.slack.modals.details import details
from integrations.slack.modals.notice import notice, said
from integrations.slack.modals.rolling_back import rollback
from integrations.slack.modals.steering import ask_why

__all__ = ["approve", "ask_why", "details", "notice", "reject", "rollback", "said"]
