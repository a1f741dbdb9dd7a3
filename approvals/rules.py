"""A target's policy: what the configuration says, as data that is kept with each promotion and sealed.

Who must approve is the policy's own rows, and those of each :class:`Rule` whose condition holds for the
candidate, merged by maximum. What cannot be told counts as holding: unknown asks for more, never for less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from approvals import gates
from approvals.compare import number
from approvals.gates import Gate
from approvals.policies import Requirement, listing, texts
from approvals.wording import listed

ANY = "*"


@dataclass(frozen=True)
class Situation:
    """What the conditions of rules look at. ``live_metrics`` and ``live_number`` are None while nothing is live;
    ``was_anything_live`` tells of the whole past of the target."""

    metrics: Mapping[str, str]
    number: int
    tags: Mapping[str, str] = field(default_factory=dict)
    live_metrics: Mapping[str, str] | None = None
    live_number: int | None = None
    was_anything_live: bool = False


@dataclass(frozen=True)
class Condition:
    """When a rule applies: when everything that it names holds; always, where it names nothing. ``better`` is the
    direction of ``metric_drops``, ``higher`` or ``lower``; ``tags`` are (name, value) of the version or its
    model, ``*`` for any value."""

    metric_drops: str = ""
    better: str = ""
    older_than_live: bool = False
    first_promotion: bool = False
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """When it holds: ``where auc is worse than the live version's``; ``always`` where it names nothing."""
        clauses = [
            *(
                [f"{self.metric_drops} is worse than the live version's"]
                if self.metric_drops
                else []
            ),
            *(["it is older than the live version"] if self.older_than_live else []),
            *(["it is the model's first promotion here"] if self.first_promotion else []),
            *(
                f"it has a tag {name}" if value == ANY else f"it is tagged {name} = {value}"
                for name, value in self.tags
            ),
        ]
        return f"where {' and '.join(clauses)}" if clauses else "always"

    def why(self, seen: Situation) -> str:
        """Why the rule applies, as a clause; an empty text when it does not."""
        clauses = [
            *([self._drop(seen)] if self.metric_drops else []),
            *([self._older(seen)] if self.older_than_live else []),
            *([self._first(seen)] if self.first_promotion else []),
            *(self._tagged(name, value, seen) for name, value in self.tags),
        ]
        if not clauses:  # only models or environments were named, and this is one of them
            return "a rule for this target always applies"
        return " and ".join(clauses) if all(clauses) else ""

    def _drop(self, seen: Situation) -> str:
        if seen.live_metrics is None:
            return ""
        new = number(seen.metrics.get(self.metric_drops))
        old = number(seen.live_metrics.get(self.metric_drops))
        if new is None or old is None or self.better not in {"higher", "lower"}:
            return f"it cannot be told whether {self.metric_drops} is worse than the live version's"
        worse = new < old if self.better == "higher" else new > old
        return f"{self.metric_drops} is worse than the live version's" if worse else ""

    def _older(self, seen: Situation) -> str:
        older = seen.live_number is not None and seen.number < seen.live_number
        return f"it is older than v{seen.live_number}, which is live" if older else ""

    def _first(self, seen: Situation) -> str:
        return "" if seen.was_anything_live else "it is the model's first promotion here"

    def _tagged(self, name: str, value: str, seen: Situation) -> str:
        found = seen.tags.get(name)
        if found is None or value not in {ANY, found}:
            return ""
        return f"it is tagged {name} = {found}"


@dataclass(frozen=True)
class Rule:
    """What is asked in addition when a condition holds."""

    when: Condition
    approvals: tuple[Requirement, ...] = ()
    checklist: tuple[str, ...] = ()
    comment_required: bool = False

    @property
    def words(self) -> str:
        """``2 of risk and a comment where auc is worse than the live version's``."""
        asked = [
            *(f"{row.count} of {row.words}" for row in self.approvals),
            *(f"the tick “{item}”" for item in self.checklist),
            *(["a comment"] if self.comment_required else []),
        ]
        return f"{listed(asked)} {self.when.words}"

    def as_data(self) -> dict[str, Any]:
        """The rule as JSON-able data."""
        return {
            "when": {**asdict(self.when), "tags": [list(pair) for pair in self.when.tags]},
            "approvals": [row.as_data() for row in self.approvals],
            "checklist": list(self.checklist),
            "comment_required": self.comment_required,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Rule:
        """The inverse of :meth:`as_data`. Raises KeyError, TypeError or ValueError."""
        when = dict(data["when"])
        pairs = [texts(pair) for pair in listing(when["tags"])]
        when["tags"] = tuple((name, value) for name, value in pairs)
        condition = Condition(**when)
        for name, kind in _CONDITION.items():
            _read(getattr(condition, name), kind)
        return cls(
            condition,
            Requirement.rows(data["approvals"]),
            texts(data["checklist"]),
            _read(data["comment_required"], bool),
        )


@dataclass(frozen=True)
class Terms:
    """What is asked of one promotion, worked out and sealed: nobody, only where ``automatic``.

    ``because`` are the clauses of the rules that applied. ``by_itself`` is why monitoring has it rolled back: then
    the configuration's ``signals`` are the authority, and nobody is asked.
    """

    requirements: tuple[Requirement, ...]
    checklist: tuple[str, ...] = ()
    comment_required: bool = False
    automatic: bool = False
    because: tuple[str, ...] = ()
    by_itself: str = ""

    @classmethod
    def of_itself(cls, why: str) -> Terms:
        """Nobody is asked: monitoring has it rolled back, and ``why``."""
        return cls((), automatic=True, by_itself=why)

    def as_data(self) -> dict[str, Any]:
        """For the sealed facts; what says nothing is left out, so that seals of older releases stay good."""
        data: dict[str, Any] = {"requirements": [row.as_data() for row in self.requirements]}
        if self.checklist:
            data["checklist"] = list(self.checklist)
        if self.comment_required:
            data["comment_required"] = True
        if self.automatic:
            data["automatic"] = True
        if self.because:
            data["because"] = list(self.because)
        if self.by_itself:
            data["by_itself"] = self.by_itself
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Terms:
        """Read sealed facts. Raises KeyError, TypeError or ValueError."""
        return cls(
            Requirement.rows(data["requirements"]),
            texts(data.get("checklist", ())),
            _read(data.get("comment_required", False), bool),
            _read(data.get("automatic", False), bool),
            texts(data.get("because", ())),
            _read(data.get("by_itself", ""), str),
        )


@dataclass(frozen=True)
class Policy:
    """Who must approve at a target, by kind of promotion, within which time (seconds, 0 for never), and which
    gates a promotion has to pass.

    ``automatic``: where no person is asked for, a promotion whose gates all pass is approved by itself.
    ``override_team``: who may break the glass, empty for nobody.
    """

    promote: tuple[Requirement, ...]
    rollback: tuple[Requirement, ...]
    rollback_requester_may_approve: bool
    requesters: tuple[str, ...]
    expires_after: int
    grant_lapses_after: int
    gates: tuple[Gate, ...] = ()
    trainer_may_approve: bool = True
    automatic: bool = False
    rules: tuple[Rule, ...] = ()
    checklist: tuple[str, ...] = ()
    comment_required: bool = False
    override_team: str = ""
    override_by_requester: bool = False
    remind_after: int = 0
    escalate_after: int = 0
    escalate_to: str = ""

    def as_data(self) -> dict[str, Any]:
        """The policy as JSON-able data; :meth:`from_data` is its inverse."""
        plain = {name: getattr(self, name) for name in (*_REQUIRED, *_OPTIONAL)}
        return {
            **plain,
            "promote": [row.as_data() for row in self.promote],
            "rollback": [row.as_data() for row in self.rollback],
            "requesters": list(self.requesters),
            "checklist": list(self.checklist),
            "gates": [gates.as_data(gate) for gate in self.gates],
            "rules": [rule.as_data() for rule in self.rules],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Policy:
        """Read a snapshot. Raises KeyError, TypeError or ValueError for anything unreadable: the callers
        then treat the promotion as blocked, never as free."""
        # Snapshots of older releases lack the optional ones.
        optional = {
            name: _read(data[name], kind) for name, kind in _OPTIONAL.items() if name in data
        }
        return cls(
            promote=Requirement.rows(data["promote"]),
            rollback=Requirement.rows(data["rollback"]),
            rollback_requester_may_approve=_read(data["rollback_requester_may_approve"], bool),
            requesters=texts(data["requesters"]),
            expires_after=_read(data["expires_after"], int),
            grant_lapses_after=_read(data["grant_lapses_after"], int),
            gates=tuple(gates.from_data(item) for item in listing(data.get("gates", ()))),
            rules=tuple(Rule.from_data(item) for item in listing(data.get("rules", ()))),
            checklist=texts(data.get("checklist", ())),
            **optional,
        )

    def requirements(self, *, rollback: bool) -> tuple[Requirement, ...]:
        """The rows that always apply to this kind of promotion."""
        return self.rollback if rollback else self.promote

    def gates_for(self, *, rollback: bool) -> tuple[Gate, ...]:
        """The gates of this kind of promotion. A rollback has none: it has its preflight, and must be quick."""
        return () if rollback else self.gates

    def terms(self, seen: Situation, *, rollback: bool, retroactive: bool = False) -> Terms:
        """What is asked of this candidate. Rules, checklists and comments are for promotions, not rollbacks. What
        is adopted is always asked of people: of those who may ask here, where the policy asks nobody."""
        if rollback:
            return Terms(self.rollback)
        if retroactive:
            terms = self.terms(seen, rollback=False)
            anybody = Requirement(tuple(sorted(self.requesters)), 1)
            return replace(terms, requirements=terms.requirements or (anybody,), automatic=False)
        applying = [(rule, why) for rule in self.rules if (why := rule.when.why(seen))]
        rows = merged([*self.promote, *(row for rule, _ in applying for row in rule.approvals)])
        items = [*self.checklist, *(item for rule, _ in applying for item in rule.checklist)]
        return Terms(
            rows,
            tuple(dict.fromkeys(items)),
            self.comment_required or any(rule.comment_required for rule, _ in applying),
            self._nobody_is_asked(rows, applying),
            tuple(why for _, why in applying),
        )

    def _nobody_is_asked(
        self, rows: tuple[Requirement, ...], applying: Sequence[tuple[Rule, str]]
    ) -> bool:
        """Without a gate nothing would stand in the way, and ticks and comments are a person's: the file refuses
        both, and so does this."""
        personal = bool(self.checklist) or self.comment_required
        personal = personal or any(rule.checklist or rule.comment_required for rule, _ in applying)
        return self.automatic and not rows and bool(self.gates) and not personal

    def strictest(self) -> tuple[Requirement, ...]:
        """What would be asked if every rule applied."""
        return merged([*self.promote, *(row for rule in self.rules for row in rule.approvals)])


_REQUIRED = ("rollback_requester_may_approve", "expires_after", "grant_lapses_after")
_OPTIONAL: dict[str, Any] = {
    "trainer_may_approve": bool,
    "automatic": bool,
    "comment_required": bool,
    "override_team": str,
    "override_by_requester": bool,
    "remind_after": int,
    "escalate_after": int,
    "escalate_to": str,
}


_CONDITION: dict[str, type] = {
    "metric_drops": str,
    "better": str,
    "older_than_live": bool,
    "first_promotion": bool,
}


def _read(value: Any, kind: type) -> Any:
    """A snapshot is ours: another type than we wrote is not to be guessed at."""
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value


def merged(rows: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """One row for the same teams, with the greatest count; in the order of first mention."""
    most: dict[frozenset[str], Requirement] = {}
    for row in rows:
        key = frozenset(row.teams)
        if key not in most:
            most[key] = row
        elif row.count > most[key].count:
            most[key] = Requirement(most[key].teams, row.count)
    return tuple(most.values())


def rows_in_words(rows: Sequence[Requirement]) -> str:
    """``1 of ml-leads and 1 of risk``."""
    return " and ".join(f"{row.count} of {row.words}" for row in rows)
