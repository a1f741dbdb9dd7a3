"""Everybody: who is in which team, what a team may decide, and who decides for whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Q

from approvals.models import Delegation, Membership, Person, Team
from approvals.services.cases import delegations_at
from approvals.wording import clean_text

# A page of an office, not of a city; the search finds the others.
MOST = 500


@dataclass(frozen=True)
class PersonRow:
    """Somebody; whether a Slack account is linked, and to whom they handed their approvals until when."""

    person: Person
    linked: bool
    given: Delegation | None


@dataclass
class TeamRow:
    """A team with its members that are looked for; ``decides`` counts the targets that ask for its approval."""

    team: Team
    decides: int
    members: list[PersonRow] = field(default_factory=list)


@dataclass
class Everybody:
    """The teams, those ``nobody`` has in a team, the ``machines`` in none, and the delegations in force;
    ``more``: there are people who are not shown."""

    teams: list[TeamRow]
    nobody: list[PersonRow]
    machines: list[PersonRow]
    delegations: list[Delegation]
    more: bool

    @property
    def is_empty(self) -> bool:
        """Nobody was found."""
        return not (self.nobody or self.machines or any(row.members for row in self.teams))


def find_people(text: str) -> Q:
    """Whose name or sign-in name holds each of the words."""
    found = Q()
    for word in clean_text(text)[:200].split():
        found &= (
            Q(username__icontains=word)
            | Q(first_name__icontains=word)
            | Q(last_name__icontains=word)
        )
    return found


def everybody(text: str, now: datetime) -> Everybody:
    """People whose name holds ``text``, or who are in a team so called; all for an empty one. Always the same few
    queries."""
    wanted = find_people(text)
    if text := clean_text(text)[:200]:
        wanted |= Q(teams__name__icontains=text) | Q(teams__slug__icontains=text)
    found = list(
        Person.objects.filter(wanted)
        .distinct()
        .order_by("-is_active", "first_name", "username")[: MOST + 1]
    )
    shown = [each.pk for each in found[:MOST]]
    delegations = delegations_at(now)
    given = {each.person_id: each for each in delegations}
    linked = set(
        Person.objects.filter(pk__in=shown, slack_identity__isnull=False).values_list(
            "pk", flat=True
        )
    )
    # In the order in which they were found.
    people = {
        each.pk: PersonRow(each, each.pk in linked, given.get(each.pk)) for each in found[:MOST]
    }
    decides = _decided_by()
    rows = {
        team.pk: TeamRow(team, decides.get(team.slug, 0)) for team in Team.objects.order_by("name")
    }
    teams_of: dict[int, list[int]] = {}
    memberships = Membership.objects.filter(person__in=shown)
    for team_id, person_id in memberships.values_list("team_id", "person_id"):
        teams_of.setdefault(person_id, []).append(team_id)
    for pk, row in people.items():
        for team_id in teams_of.get(pk, ()):
            rows[team_id].members.append(row)
    left = [row for pk, row in people.items() if pk not in teams_of]
    return Everybody(
        teams=[row for row in rows.values() if row.members or not text],
        nobody=[row for row in left if not row.person.is_machine],
        machines=[row for row in left if row.person.is_machine],
        delegations=delegations,
        more=len(found) > MOST,
    )


def _decided_by() -> dict[str, int]:
    """Team (slug) → how many active targets may ask for its approval, by a rule too. Counted where the policies
    are: thousands of them would be read for a few numbers."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT team, count(DISTINCT target.id)
            FROM approvals_target target,
                 jsonb_path_query(target.policy, '$.**.teams[*]') AS asked(name),
                 LATERAL (SELECT asked.name #>> '{}') AS plain(team)
            WHERE target.is_active
            GROUP BY team
            """
        )
        return {str(team): int(count) for team, count in cursor.fetchall()}
