"""How people want to be told."""

from __future__ import annotations

from django.http import HttpRequest

from approvals.models import Person, Preferences


def my_preferences(request: HttpRequest) -> Preferences:
    """The wishes of whoever asks, read once for a page; the defaults for a stranger."""
    found: Preferences | None = getattr(request, "_preferences", None)
    if found is None:
        user = getattr(request, "user", None)
        found = preferences_of(user) if isinstance(user, Person) else Preferences()
        request._preferences = found  # type: ignore[attr-defined]
    return found


def preferences_of(person: Person) -> Preferences:
    """The person's wishes as they stand in the database; the defaults, unsaved, where nothing was ever chosen."""
    return Preferences.objects.filter(person=person).first() or Preferences(person=person)
