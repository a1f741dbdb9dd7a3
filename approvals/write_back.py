"""What is written to the registry once a version is live. Pure: no rows, no clock, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from approvals.wording import listed

STAGES = ("Staging", "Production")
# Tags of a version. MLflow copies them with it, and anybody may write them: they tell, they prove nothing.
PROMOTION_TAG = "countersign.promotion"
SEAL_TAG = "countersign.seal"


@dataclass(frozen=True)
class WriteBack:
    """What a target's configuration asks for; empty text where it asks for none."""

    alias: str = ""
    previous_alias: str = ""
    tags: bool = True
    stage: str = ""
    copy_to: str = ""

    @classmethod
    def of(cls, alias: str, data: Mapping[str, Any]) -> WriteBack:
        """From a target's ``alias`` and ``write_back``."""
        return cls(
            alias=alias,
            previous_alias=str(data.get("previous_alias", "")),
            tags=data.get("tags", True) is True,
            stage=str(data.get("stage", "")),
            copy_to=str(data.get("copy_to", "")),
        )

    def as_data(self) -> dict[str, Any]:
        """As ``Target.write_back`` keeps it: what differs from the defaults, without the alias."""
        usual = asdict(WriteBack())
        return {
            name: value
            for name, value in asdict(self).items()
            if name != "alias" and value != usual[name]
        }

    @property
    def is_wanted(self) -> bool:
        """Anything is written at all: tags alone are not asked for."""
        return bool(self.alias or self.stage)

    @property
    def words(self) -> str:
        """``previous, champion, tags and a copy in prod.fraud``."""
        return listed(
            [
                *([self.previous_alias] if self.previous_alias else []),
                *([self.alias] if self.alias else []),
                *(["tags"] if self.tags else []),
                *([f"stage {self.stage}"] if self.stage else []),
                *([f"a copy in {self.copy_to}"] if self.copy_to else []),
            ]
        )


def live_tag(environment: str) -> str:
    """The tag that tells since when a version is, or was, live in an environment."""
    return f"countersign.live_in.{environment}"


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def registry_words(data: Mapping[str, Any]) -> str:
    """The event ``registry.written`` in words: what was moved from where to where, one clause each."""
    clauses = []
    for each in (data.get("previous"), data):
        if each and each.get("alias"):
            clauses.append(_pointed(each["alias"], each.get("version"), each.get("before")))
    if data.get("tags"):
        clauses.append("the version is tagged with promotion, seal and time")
    if stage := data.get("stage"):
        before = stage.get("before")
        was = f" (it was {before})" if before and before not in {"None", stage["name"]} else ""
        clauses.append(f"its stage is {stage['name']}{was}")
    if copy := data.get("copy"):
        there = _pointed(copy["alias"], copy.get("version"), copy.get("before"))
        clauses.append(f"it is copied to {copy['model']} as v{copy['version']}, where {there}")
    return "; ".join([*clauses, *data.get("notes", [])])


def _pointed(alias: str, version: object, before: object) -> str:
    if before == version:
        return f"{alias} points to v{version}, as before"
    return f"{alias} now points to v{version}{f' (it was v{before})' if before else ''}"
