"""Who and what else there is: other kinds of users, a second workspace, an organisation of Enterprise Grid.

They appear in the page once the app is installed where they are; tests meet them at once.
"""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]

# What the app can be installed in besides the workspace of the demo.
TEAMS: dict[str, JSON] = {
    "T0ACME": {"id": "T0ACME", "domain": "acme", "name": "Acme"},
    "T0LAB": {"id": "T0LAB", "domain": "lab", "name": "Acme Lab"},
    "T0GRID": {"id": "T0GRID", "domain": "grid", "name": "Grid North"},
}
ENTERPRISES: dict[str, JSON] = {"E0GRID": {"id": "E0GRID", "name": "Grid Group"}}
# Workspaces of an organisation.
BELONGS = {"T0GRID": "E0GRID"}

# user name, real name, id, role, team, domain
OTHERS = (
    ("greta", "Greta Gast", "U0GRETA", "Guest", "T0ACME", "acme.example"),
    ("dora", "Dora Dahl", "U0DORA", "Deactivated", "T0ACME", "acme.example"),
    ("robo", "Release Robot", "U0ROBO", "Bot", "T0ACME", "acme.example"),
    ("lena", "Lena Lang", "U0LENA", "Lab lead", "T0LAB", "lab.example"),
    ("leo", "Leo Lind", "U0LEO", "Lab", "T0LAB", "lab.example"),
    ("gina", "Gina Grid", "U0GINA", "Grid", "T0GRID", "grid.example"),
)
KINDS: dict[str, JSON] = {
    "U0GRETA": {"is_restricted": True},
    "U0DORA": {"deleted": True},
    "U0ROBO": {"is_bot": True},
    "U0GINA": {
        "enterprise_user": {
            "id": "W0GINA",
            "enterprise_id": "E0GRID",
            "enterprise_name": "Grid Group",
            "teams": ["T0GRID"],
        }
    },
}
CHANNELS: tuple[JSON, ...] = (
    {"id": "C0LAB", "name": "lab-releases", "topic": "The laboratory's models", "team": "T0LAB"},
    {"id": "C0GRID", "name": "grid-releases", "topic": "The group's models", "team": "T0GRID"},
)


def acting_in(team: str) -> JSON:
    """The workspace in whose channels somebody of `team` acts: their own, or ours for visitors."""
    return TEAMS.get(team, TEAMS["T0ACME"])


def installation(team: str) -> str:
    """The id that the app is installed under for a workspace: its own, or its organisation's."""
    return BELONGS.get(team, team)
