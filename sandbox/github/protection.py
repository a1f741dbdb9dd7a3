"""Protection rules of environments: required reviewers, and an App's custom deployment protection rule.

Both are off until ``protect`` switches them on. A job that meets one waits, as on GitHub, until
each of its gates is approved; one that is rejected fails the job.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.github.expressions import to_text
from sandbox.github.records import Environment, Gate, Run, Store
from sandbox.github.workflows import InvalidError

REVIEWERS, RULE = "reviewers", "rule"
DECISIONS = ("approved", "rejected")
MAX_COMMENT = 1024  # GitHub: a status report's characters
MAX_REPORTS = 10  # GitHub: status reports on one deployment
_LOOK_EVERY = 0.03  # seconds between two looks of a waiting job
_INCOMPATIBLE = (
    "The environment '{name}' has a custom deployment protection rule, which is incompatible "
    "with `deployment: false`."
)


@dataclass(frozen=True)
class Place:
    """The environment that a job names; ``deploys`` unless it opted out by ``deployment: false``."""

    name: str
    deploys: bool


def place_of(given: Any) -> Place | None:
    """A job's ``environment:``, its expressions filled in; None when it names none."""
    settings = given if isinstance(given, dict) else {"name": given}
    name = to_text(settings.get("name"))
    deploys = to_text(settings.get("deployment", True)) != "false"
    return Place(name, deploys) if name else None


class Protection:
    """The gates of one repository. ``ask(run, environment)`` sends the rule's webhook."""

    def __init__(self, store: Store, ask: Callable[[Run, str], None]) -> None:
        """Keep gates in ``store``."""
        self.store, self.ask = store, ask

    def protect(
        self, environment: Environment, reviewers: list[str] | None, rule: bool | None
    ) -> Environment:
        """Switch an environment's protections; None leaves one as it is."""
        with self.store.lock:
            if reviewers is not None:
                environment.reviewers = reviewers
            if rule is not None:
                environment.rule = rule
            return self.store.save(environment)

    def guards(self, name: str) -> bool:
        """Whether a job for that environment has to wait."""
        return any(
            each.name == name and (each.reviewers or each.rule)
            for each in self.store.all(Environment)
        )

    def gates(self, run: Run, attempt: int | None = None) -> list[Gate]:
        """The gates that an attempt (the newest unless told) has met, oldest first."""
        wanted = (run.id, attempt or run.attempt)
        return [gate for gate in self.store.all(Gate) if (gate.run_id, gate.attempt) == wanted]

    def waits_for(self, run: Run) -> list[str]:
        """The environments whose gates keep the run waiting."""
        gates = [] if run.done else self.gates(run)
        return sorted({gate.environment for gate in gates if gate.state == "pending"})

    def open(self, run: Run, environment: Environment, *, deploys: bool) -> list[Gate]:
        """The gates of a job that reached this environment, asking for answers where they are new.

        Raises InvalidError where ``deployment: false`` meets a custom rule: GitHub fails the job.
        """
        if environment.rule and not deploys:
            raise InvalidError(_INCOMPATIBLE.format(name=environment.name))
        kinds = [REVIEWERS] if environment.reviewers else []
        kinds += [RULE] if environment.rule else []
        with self.store.lock:
            gates = [gate for gate in self.gates(run) if gate.environment == environment.name]
            new = [kind for kind in kinds if kind not in {gate.kind for gate in gates}]
            for kind in new:
                gate = Gate(self.store.next_id(), run.id, run.attempt, environment.name, kind)
                gates.append(self.store.save(gate))
        if RULE in new:
            self.ask(run, environment.name)
        return gates

    @staticmethod
    def wait(gates: list[Gate], cancelled: threading.Event) -> str:
        """Wait for every gate: empty when all are approved, else how the job ends."""
        while not cancelled.is_set():
            states = {gate.state for gate in gates}
            if "rejected" in states:
                return "failure"
            if states <= {"approved"}:
                return ""
            cancelled.wait(_LOOK_EVERY)
        return "cancelled"

    def _pending(self, run: Run, environment: str, kind: str) -> Gate:
        for gate in [] if run.done else self.gates(run):
            if (gate.environment, gate.kind, gate.state) == (environment, kind, "pending"):
                return gate
        what = "review" if kind == REVIEWERS else "custom deployment protection rule"
        raise InvalidError(f"There is no pending {what} for the environment '{environment}'.")

    def review(self, run: Run, environment: str, state: str, actor: str, comment: str) -> Gate:
        """One of the required reviewers approves or rejects; one is enough. Raises InvalidError."""
        with self.store.lock:
            gate = self._pending(run, environment, REVIEWERS)
            named = [e for e in self.store.all(Environment) if e.name == environment]
            if actor not in named[0].reviewers:
                raise InvalidError(f"{actor} is no required reviewer of '{environment}'.")
            if state not in DECISIONS:
                raise InvalidError(f"state must be one of {', '.join(DECISIONS)}")
            gate.state, gate.by, gate.comment = state, actor, comment
            return self.store.save(gate)

    def answer(self, run: Run, environment: str, state: str, actor: str, comment: str) -> Gate:
        """The App's answer; without ``state`` a status report that decides nothing.

        Raises InvalidError: nothing waits there, or it was reported on too often.
        """
        with self.store.lock:
            gate = self._pending(run, environment, RULE)
            if state:
                gate.state = state
            elif len(gate.reports) == MAX_REPORTS:
                raise InvalidError(f"No more than {MAX_REPORTS} status reports are allowed.")
            gate.by, gate.comment = actor, comment
            gate.reports = [*gate.reports, comment]
            return self.store.save(gate)
