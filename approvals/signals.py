"""How the outside learns that there is work, without ``approvals`` knowing who listens."""

from django.dispatch import Signal

# Sent after the commit of a transaction that wrote effects. A wake-up call, nothing more.
effects_written = Signal()
