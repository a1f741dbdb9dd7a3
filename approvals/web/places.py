"""The product's pages, for the menu's search and the keyboard: one list, so that both know the same."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from approvals.models import Person


@dataclass(frozen=True)
class Place:
    """A page: ``key`` goes there after ``g``; ``about`` has words that people look for instead of its name."""

    name: str
    title: str
    icon: str
    about: str
    key: str = ""
    anchor: str = ""

    @property
    def address(self) -> str:
        """Where it is."""
        return reverse(self.name) + (f"#{self.anchor}" if self.anchor else "")


PLACES = [
    Place("overview", "Overview", "layout-grid", "models environments matrix live home", "o"),
    Place("inbox", "Inbox", "inbox", "waiting decide approve review pending", "i"),
    Place("timeline", "Timeline", "history", "events history audit log", "t"),
    Place("insights", "Insights", "chart-line", "dora metrics lead time figures", "n"),
    Place("pipelines", "Pipelines", "workflow", "runs github actions ci training", "l"),
    Place("policy", "Policy", "scale", "rules approvals gates who must approve", "p"),
    Place("policy_simulate", "Simulate a policy", "flask-conical", "what if try policy"),
    Place("freezes", "Freezes", "snowflake", "calendar windows frozen closed", "f"),
    Place("people", "People", "users", "teams colleagues delegations members", "e"),
    Place("status", "Status", "heart-pulse", "health workers connections outbox mlflow slack", "s"),
    Place("profile", "Profile", "user", "me my settings account", "m"),
    Place("profile", "Theme, time zone and keys", "palette", "dark light clock looks", "", "looks"),
    Place("profile", "How I am told", "bell", "notifications mail slack reminders", "", "told"),
    Place("profile", "My sessions", "monitor-smartphone", "devices sign out", "", "sessions"),
    Place("profile", "My API tokens", "key-round", "secret program access", "", "tokens"),
    Place("profile", "Delegate my approvals", "user-round-plus", "away holiday", "", "delegation"),
    Place("keys", "Keyboard shortcuts", "keyboard", "help keys hotkeys"),
]


def places(text: str, person: Person) -> list[Place]:
    """The pages whose title or meaning holds each word of ``text``; those with a key for an empty one."""
    words = text.lower().split()
    extra = []
    if person.is_staff:
        extra.append(Place("admin:index", "Administration", "settings", "admin accounts users"))
    if person.is_superuser:
        extra.append(Place("slack_workspaces", "Slack workspaces", "plug", "install app"))
    if not words:
        return [each for each in PLACES if each.key]
    found = [
        each
        for each in PLACES + extra
        if all(any(part.startswith(word) for part in _parts(each)) for word in words)
    ]
    return sorted(found, key=lambda each: not each.title.lower().startswith(words[0]))


def _parts(place: Place) -> list[str]:
    return f"{place.title} {place.about}".lower().replace(",", "").split()
