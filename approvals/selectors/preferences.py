"""How people want to be told."""

from __future__ import annotations

from approvals.models import Person, Preferences


def preferences_of(person: Person) -> Preferences:
    """The person's wishes as they stand in the database; the defaults, unsaved, where nothing was ever chosen."""
    return Preferences.objects.filter(person=person).first() or Preferences(person=person)
