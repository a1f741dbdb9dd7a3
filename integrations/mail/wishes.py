"""Who wants a mail: decided when it is delivered, by what they wish and by how else they are reached then."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings

from approvals.models import Effect, Person, Preferences, Target
from approvals.states import MailWish, Occasion
from integrations.models import SlackIdentity, SlackStanding, SlackWorkspace


def readers(effect: Effect, people: Iterable[Person]) -> list[Person]:
    """Those of the people who want this mail.

    News of a target, which are alarms and belong to no promotion, go to all but those who want no mail at all: who
    is linked in Slack may have that channel muted, and there is nothing that is quieter than an alarm nobody saw.
    """
    asked = list(people)
    wishes = {each.person_id: each for each in Preferences.objects.filter(person__in=asked)}
    occasion = effect.payload.get("occasion", "")
    chatting = _reached_in_chat(effect.target, asked) if occasion else set[int]()
    found = []
    for person in asked:
        wish = wishes.get(person.pk) or Preferences(person=person)
        if wish.mail == MailWish.NEVER:
            continue
        if occasion == Occasion.REMINDER and not wish.reminders:
            continue
        if wish.mail == MailWish.WITHOUT_CHAT and person.pk in chatting:
            continue
        found.append(person)
    return found


def _reached_in_chat(target: Target | None, people: list[Person]) -> set[int]:
    """The ids of those whom the promotion's message reaches: linked members of a workspace that the app is in,
    where the target has a channel at all."""
    if target is None or not target.channel:
        return set()
    places = {each.team_id: each for each in SlackWorkspace.objects.all()}
    linked = SlackIdentity.objects.filter(person__in=people, standing=SlackStanding.MEMBER)
    return {each.person_id for each in linked if _can_write_to(places.get(each.team_id))}


def _can_write_to(workspace: SlackWorkspace | None) -> bool:
    if workspace is not None and not workspace.is_active:
        return False
    return bool(settings.SLACK_BOT_TOKEN or (workspace and workspace.token))
