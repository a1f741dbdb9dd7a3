"""Faults that can be switched on, each with a count of how often it struck."""

import threading
from dataclasses import asdict, dataclass, field
from typing import Any

# What each fault does and the options it takes (with their defaults), for the page and the API.
CATALOGUE: dict[str, tuple[str, dict[str, Any]]] = {
    "error_before": ("502, nothing started", {"match": "/dispatches"}),
    "redirect": ("307 to the repository's number, nothing started", {"match": "/dispatches"}),
    "unprocessable": ("422, nothing started", {"match": "/dispatches"}),
    "rate_limited": (
        "403 or 429, nothing started",
        {"match": "/dispatches", "status": 403, "retry_after": None, "reset": 60},
    ),
    "drop_after_accept": (
        "the run starts, then the connection is cut with no answer",
        {"match": "/dispatches"},
    ),
    "error_after_accept": ("the run starts, then 502", {"match": "/dispatches"}),
    "no_run_details": ("204 without the run's id, as older GitHub Enterprise Servers", {}),
    "late_lists": ("new runs do not appear in lists for some seconds", {"seconds": 5.0}),
    "logs_gone": ("410 for a job's log, as once it is too old", {}),
    "never_start": ("new runs stay queued until this is switched off", {}),
    "webhooks_lost": ("webhooks are not sent", {}),
    "webhooks_doubled": ("webhooks are sent twice, with the same delivery id", {}),
    "webhooks_reordered": ("a webhook is sent after the one that follows it", {}),
}


@dataclass
class Fault:
    """One fault: ``times`` left to strike, None for "until switched off"."""

    name: str
    on: bool = False
    times: int | None = None
    struck: int = 0
    options: dict[str, Any] = field(default_factory=dict)


class Faults:
    """All faults of one stand-in; they start switched off."""

    def __init__(self) -> None:
        """Every fault off, with its default options."""
        self._lock = threading.Lock()
        self._all = {name: Fault(name, options=dict(o)) for name, (_, o) in CATALOGUE.items()}

    def set(self, name: str, *, on: bool, times: int | None, options: dict[str, Any]) -> Fault:
        """Switch a fault on (for ``times`` strikes, None: until told) or off.

        Raises ValueError for an unknown fault or option.
        """
        if name not in CATALOGUE:
            raise ValueError(f"Unknown fault '{name}'; known: {', '.join(CATALOGUE)}")
        defaults = CATALOGUE[name][1]
        if unknown := sorted(options.keys() - defaults.keys()):
            raise ValueError(f"'{name}' has no option {', '.join(unknown)}")
        with self._lock:
            fault = self._all[name]
            fault.on, fault.times = on and times != 0, times if on else None
            fault.options = defaults | options
            return fault

    def strike(self, name: str, path: str = "") -> dict[str, Any] | None:
        """The fault's options if it strikes now (and count it), else None."""
        with self._lock:
            fault = self._all[name]
            if not fault.on or str(fault.options.get("match", "")) not in path:
                return None
            fault.struck += 1
            if fault.times is not None:
                fault.times -= 1
                fault.on = fault.times > 0
            return dict(fault.options)

    def clear(self) -> None:
        """Switch everything off and forget the counts."""
        self._all = Faults()._all

    def as_json(self) -> dict[str, Any]:
        """Every fault by name, with its meaning."""
        return {n: asdict(f) | {"meaning": CATALOGUE[n][0]} for n, f in self._all.items()}
