"""An invented company as a ``countersign.yaml``: many models in a few groups, four environments, teams, people."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

ENVIRONMENTS = ("development", "staging", "acceptance", "production")
GROUPS = (
    *("payments", "fraud", "credit", "marketing", "pricing", "logistics", "support", "search"),
    *("risk", "insurance", "treasury", "onboarding", "collections", "forecasting"),
)
SUBJECTS = (
    *("card", "churn", "demand", "limit", "chargeback", "route", "ticket", "ranking", "refund"),
    *("lead", "basket", "claim", "stock", "rate", "document", "address", "session", "invoice"),
)
PURPOSES = ("scorer", "forecast", "classifier", "ranker", "detector", "segments", "embedding")
FIRST = ("Ada", "Bela", "Chidi", "Dora", "Emil", "Farah", "Goran", "Hana", "Ivo", "Jun")
LAST = ("Adler", "Bauer", "Castro", "Dahl", "Eze", "Fischer", "Gupta", "Haas")
# The metric, which is better, and about where it lies.
METRICS = (
    ("auc", "higher", 0.9),
    ("recall", "higher", 0.72),
    ("log_loss", "lower", 0.3),
    ("latency_ms", "lower", 14.0),
)


def model_names(count: int) -> list[str]:
    """So many different names, each of a group."""
    names = [
        f"{group}-{subject}-{purpose}"
        for group, subject, purpose in product(GROUPS, SUBJECTS, PURPOSES)
    ]
    # Neighbours of the list are of one group: taken evenly, every group gets some.
    apart = max(len(names) // count, 1)
    chosen = names[::apart][:count]
    return [*chosen, *(f"model-{number}" for number in range(count - len(chosen)))]


def people(count: int = 60) -> list[tuple[str, str]]:
    """(user name, name) of so many people."""
    names = [f"{first} {last}" for last, first in product(LAST, FIRST)][:count]
    return [(name.lower().replace(" ", "."), name) for name in names]


def configuration(models: int) -> str:
    """The configuration as text. JSON is YAML."""
    staff = people()
    names = [name for name, _ in staff]
    return json.dumps(
        {
            "people": {name: {"name": full} for name, full in staff},
            "teams": {
                "engineers": {"name": "ML engineers", "members": names[:40]},
                "leads": {"name": "ML leads", "members": names[40:50]},
                "risk": {"name": "Risk", "members": names[50:56]},
                "platform": {"name": "Platform", "members": names[56:]},
            },
            "environments": [_environment(name) for name in ENVIRONMENTS],
            "repositories": {
                f"acme/{group}": {
                    "workflows": {
                        "deploy.yml": "deploy",
                        "train.yml": "train",
                        "ci.yml": "ci",
                        "validate.yml": "validate",
                    }
                }
                for group in GROUPS
            },
            "models": {name: _model(name) for name in model_names(models)},
        }
    )


def group_of(name: str) -> str:
    """The group of a model of this company."""
    return name.partition("-")[0] if name.partition("-")[0] in GROUPS else GROUPS[0]


def _environment(name: str) -> dict[str, Any]:
    asked: list[dict[str, Any]] = [{"team": "leads", "count": 1}]
    if name == "production":
        asked.append({"team": "risk", "count": 1})
    return {
        "name": name,
        "approvals": asked,
        "override": {"team": "platform"},
        **({"alias": "champion"} if name == "production" else {}),
    }


def _model(name: str) -> dict[str, Any]:
    return {
        "repository": f"acme/{group_of(name)}",
        "workflow": "deploy.yml",
        "group": group_of(name).title(),
        "metrics": {metric: better for metric, better, _ in METRICS},
    }
