"""What monitoring may send: whose readings are taken, which, how old, and how many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.utils import timezone

from approvals.models import Person, Target
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY, voter
from approvals.services.evidence import DECIMAL
from approvals.services.refusal import Refused
from approvals.services.restrictions import may_restrict
from approvals.wording import clean_text

# Clocks differ a little.
MAX_AHEAD = timedelta(minutes=2)
MAX_AGE = timedelta(minutes=15)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MAX_NAME, MAX_VALUE, MAX_SOURCE, MAX_KEY = 100, 60, 200, 200
LARGEST = Decimal("1e18")
# Of one target.
PER_MINUTE = 120


class Flood(Refused):
    """Too many readings of one target. ``retry_after`` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "too_many_signals",
            f"At most {PER_MINUTE} readings a minute are taken for one target; try again in {retry_after} s.",
        )
        self.retry_after = retry_after


def refuse_sender(actor: Person | None, target: Target) -> None:
    """Raise Refused (``inactive``, ``may_not_report``) unless this account may report readings of the target."""
    if actor is None:
        return
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    try:
        asks = bool(voter(actor).teams & set(Policy.from_data(target.policy).requesters))
    except NOT_A_POLICY:
        asks = False
    if not (actor.is_machine or asks or may_restrict(actor, [target])):
        raise Refused(
            "may_not_report",
            "You may not, because signals are reported by machine accounts and by those who ask or decide here.",
        )


def refuse_content(name: str, value: str, source: str, key: str) -> None:
    """Raise Refused (``bad_signal``, ``bad_value``, ``source_too_long``, ``bad_key``)."""
    if not name or len(name) > MAX_NAME or name != clean_text(name) or "\n" in name:
        raise Refused(
            "bad_signal",
            f"A signal's name is one line of 1 to {MAX_NAME} characters of plain text.",
        )
    number = Decimal(value) if len(value) <= MAX_VALUE and DECIMAL.fullmatch(value) else None
    if number is None or abs(number) > LARGEST:
        raise Refused(
            "bad_value",
            f"The value of {name} is not a finite decimal number of at most 10^18, such as 0.02.",
        )
    if len(source) > MAX_SOURCE:
        raise Refused("source_too_long", f"Say the source in at most {MAX_SOURCE} characters.")
    if len(key) > MAX_KEY or key != clean_text(key):
        raise Refused(
            "bad_key",
            f"A key is at most {MAX_KEY} characters of plain text, without spaces around it.",
        )


def refuse_time(observed_at: datetime, now: datetime, lasting: bool) -> None:
    """Raise Refused (``bad_time``, ``in_the_future``, ``too_old``); what lasts may have begun long ago."""
    if timezone.is_naive(observed_at):
        raise Refused("bad_time", "A time needs its zone, such as 2026-11-20T14:05:00Z.")
    if observed_at < EARLIEST:
        raise Refused("bad_time", "It says that it was observed before the year 2000.")
    if observed_at > now + MAX_AHEAD:
        raise Refused("in_the_future", "It says that it will be observed in the future.")
    if not lasting and observed_at < now - MAX_AGE:
        minutes = int(MAX_AGE.total_seconds() // 60)
        raise Refused(
            "too_old", f"It was observed more than {minutes} minutes ago: too old to act on."
        )


def refuse_flood(target: Target, now: datetime) -> None:
    """Raise Flood where the target had its share of the last minute. It must be locked."""
    start = now - timedelta(minutes=1)
    times = target.readings.filter(received_at__gt=start).order_by("-received_at")
    oldest = times.values_list("received_at", flat=True)[PER_MINUTE - 1 : PER_MINUTE]
    if found := list(oldest):
        raise Flood(max(int((found[0] - start).total_seconds()) + 1, 1))
