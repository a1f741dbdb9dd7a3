"""The history in words: one sentence for each kind of event, the same on page and in message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from approvals.models import Event
from approvals.states import EvidenceVerdict, MarkKind
from approvals.wording import listed
from approvals.write_back import registry_words


@dataclass(frozen=True)
class Kind:
    """How an event reads. ``tone`` is neutral, good, bad or attention; ``icon`` a lucide icon."""

    sentence: str
    icon: str
    tone: str = "neutral"


KINDS: dict[str, Kind] = {
    "promotion.requested": Kind(
        "{actor} asked that {model} v{version} go to {environment}", "send"
    ),
    "promotion.sealed": Kind("The facts were gathered and sealed", "stamp"),
    "promotion.resealed": Kind(
        "The facts changed: {differences}. {voided}", "triangle-alert", "attention"
    ),
    "promotion.blocked": Kind("Blocked: {problem}", "octagon-alert", "bad"),
    "promotion.unblocked": Kind("The problem is gone", "circle-check"),
    "promotion.superseded": Kind(
        "Superseded: v{by_version} was asked for instead", "replace", "attention"
    ),
    "promotion.approved": Kind(
        "{model} v{version} was approved for {environment}{how}", "badge-check", "good"
    ),
    "promotion.rejected": Kind("Rejected: {reason}", "circle-x", "bad"),
    "promotion.cancelled": Kind("{actor} cancelled the request", "ban"),
    "promotion.overridden": Kind(
        "{actor} broke the glass for {model} v{version} in {environment}: {reason}{over}",
        "siren",
        "bad",
    ),
    "promotion.scheduled": Kind("{actor} set its time: it runs {when}", "calendar-clock"),
    "promotion.unscheduled": Kind(
        "{actor} took its time back: it runs as soon as it is approved", "calendar-x"
    ),
    "promotion.reminded": Kind("{people} were reminded: {missing} must approve", "bell"),
    "promotion.escalated": Kind(
        "Escalated to {team}{named}: {missing} must approve", "bell-ring", "attention"
    ),
    "promotion.commented": Kind("{actor} commented", "message-circle"),
    "promotion.expired": Kind("Expired: nobody settled it in time", "timer-off", "attention"),
    "effect.retried": Kind("{actor} had it tried again to {what}", "rotate-cw"),
    "review.approved": Kind("{actor} approved{for_whom}", "thumbs-up", "good"),
    "review.rejected": Kind("{actor} rejected{for_whom}", "thumbs-down", "bad"),
    "review.withdrawn": Kind("{actor} withdrew their review", "undo", "attention"),
    "deployment.dispatching": Kind("The workflow {workflow} is being started", "rocket"),
    "deployment.started": Kind("The workflow run started{step_words}", "play"),
    "deployment.succeeded": Kind(
        "{model} v{version} went live in {environment}{instead}", "circle-check-big", "good"
    ),
    "deployment.failed": Kind("The deployment failed: {detail}", "circle-x", "bad"),
    "deployment.refused": Kind("GitHub refused to start the workflow: {detail}", "circle-x", "bad"),
    "deployment.cancelled": Kind("The deployment was cancelled: {detail}", "ban", "attention"),
    "deployment.stopped": Kind("{detail}", "octagon-alert", "bad"),
    "deployment.waits": Kind("{detail}", "hourglass", "attention"),
    "deployment.asks": Kind(
        "Somebody has to confirm it: {detail}", "circle-question-mark", "attention"
    ),
    "deployment.confirmed": Kind("{actor} confirmed that it goes live all the same", "badge-check"),
    "deployment.step_succeeded": Kind("{detail}", "chart-no-axes-column-increasing", "good"),
    "deployment.paused": Kind("The rollout is paused: {reason}", "circle-pause", "attention"),
    "deployment.advanced": Kind("{actor} let the rollout go on{because}", "circle-play"),
    "deployment.aborting": Kind(
        "The rollout goes back to the former version: {reason}", "undo-2", "bad"
    ),
    "deployment.gone_back": Kind("{detail}", "undo-2", "attention"),
    "deployment.adopted": Kind(
        "{model} v{version} is live in {environment}{instead}: it was adopted, nothing was fired",
        "circle-check-big",
        "attention",
    ),
    "queue.reordered": Kind("{actor} changed the order of the queue: {order}", "list-ordered"),
    "deployment.lapsed": Kind("{detail}", "timer-off", "attention"),
    "deployment.unconfirmed": Kind("Unconfirmed: {detail}", "circle-question-mark", "attention"),
    "deployment.dispatched_again": Kind(
        "{actor} had it dispatched again: {reason}", "refresh-cw", "attention"
    ),
    "deployment.called_off": Kind("{actor} called it off: {reason}", "ban", "attention"),
    "deployment.given_up": Kind(
        "{actor} settled that it came to nothing: {reason}", "ban", "attention"
    ),
    "gate.passed": Kind(
        "Its workflow run was let through GitHub's gate to {environment}", "shield-check", "good"
    ),
    "gate.held": Kind(
        "GitHub's gate to {environment} holds a workflow run of {by}. {why}",
        "shield-alert",
        "bad",
    ),
    "registry.written": Kind("Written to MLflow: {registry}", "tag"),
    # Older releases wrote the alias alone.
    "registry.alias_set": Kind("MLflow's alias {alias} now points to v{version}{was}", "tag"),
    "out_of_band.declared": Kind(
        "Out-of-band change of {model} in {environment}: {sentence}", "shield-off", "bad"
    ),
    "out_of_band.noted": Kind(
        "Seen of {model} in {environment}: {sentence}", "scan-search", "attention"
    ),
    "out_of_band.answered": Kind(
        "{actor} asked that an out-of-band change of {model} in {environment} be {what}{because}",
        "wrench",
        "attention",
    ),
    "out_of_band.persists": Kind(
        "It was put back, and is there again or still: {sentence}", "shield-off", "bad"
    ),
    "out_of_band.adopted": Kind(
        "The out-of-band change of {model} in {environment} was adopted{because}", "badge-check"
    ),
    "out_of_band.put_back": Kind(
        "The out-of-band change of {model} in {environment} was put back{because}", "undo-2", "good"
    ),
    "out_of_band.ignored": Kind(
        "{actor} ignored the out-of-band change of {model} in {environment}{because}",
        "eye-off",
        "attention",
    ),
    "out_of_band.ended": Kind(
        "The out-of-band change of {model} in {environment} is no longer there", "circle-check"
    ),
    "target.locked": Kind("{actor} locked {model} in {environment}: {reason}", "lock", "bad"),
    "target.unlocked": Kind("{actor} unlocked {model} in {environment}: {reason}", "lock-open"),
    "target.held": Kind(
        "{model} in {environment} is on hold: nothing is approved automatically. {reason}",
        "pause",
        "attention",
    ),
    "target.resumed": Kind(
        "{actor} ended the hold of {model} in {environment}: {reason}", "circle-play"
    ),
    "environment.frozen": Kind(
        "{actor} froze {environment} until {until}: {reason}", "snowflake", "bad"
    ),
    "environment.unfrozen": Kind("{actor} lifted the freeze of {environment}: {reason}", "sun"),
    "delegation.given": Kind(
        "{actor} handed their approvals to {delegate} until {until}", "user-round-plus", "attention"
    ),
    "delegation.ended": Kind(
        "{actor} took their approvals back from {delegate}", "user-round-minus"
    ),
    "version.quarantined": Kind(
        "{actor} quarantined {model} v{version}: {reason}", "shield-alert", "bad"
    ),
    "version.released": Kind(
        "{actor} released {model} v{version} from quarantine: {reason}", "shield-check"
    ),
    "evidence.recorded": Kind(
        "{actor} reported that {name} {outcome} for {model} v{version}{where}, says {source}",
        "clipboard-check",
    ),
    "mark.placed": Kind(
        "{actor} marked {model} v{version} as {mark} in {environment}: {reason}", "bookmark"
    ),
    "signal.noted": Kind("{signal} was {value} in {environment}: {detail}", "activity"),
    "signal.alerted": Kind("{signal} was {value} in {environment}: {detail}", "siren", "attention"),
    "signal.paused": Kind(
        "{signal} was {value} in {environment}: {detail}", "circle-pause", "attention"
    ),
    "signal.rolled_back": Kind("{signal} was {value} in {environment}: {detail}", "undo-2", "bad"),
    "signal.guarded": Kind(
        "{signal} was {value} in {environment}: {detail}", "shield-alert", "attention"
    ),
    "configuration.applied": Kind("The configuration was applied: {changes}", "file-cog"),
    "person.activated": Kind("{actor} activated {person}", "user-check"),
    "person.deactivated": Kind("{actor} deactivated {person}", "user-x", "attention"),
    "preferences.changed": Kind("{actor} changed how they are told: {wishes}", "bell-ring"),
    "sessions.ended": Kind("{actor} ended sessions of their own: {count}", "log-out"),
    "feed.begun": Kind("{actor} made private addresses for their feeds", "rss"),
    "feed.renewed": Kind("{actor} renewed the private addresses of their feeds", "rss"),
    "feed.ended": Kind("{actor} switched the private addresses of their feeds off", "rss"),
    "token.created": Kind("{actor} made the API token {prefix}… for {person}: {name}", "key-round"),
    "token.revoked": Kind(
        "{actor} revoked the API token {prefix}… of {person}: {name}", "key-round", "attention"
    ),
    "slack.linked": Kind("{actor} linked their Slack account", "link"),
    "slack.unlinked": Kind("{actor} unlinked the Slack account of {person}", "unlink"),
    "slack.standing": Kind(
        "Slack says of the account of {person}: {standing}", "user-cog", "attention"
    ),
    "slack.installed": Kind("{actor} installed the Slack app in the workspace {workspace}", "plug"),
    "slack.uninstalled": Kind(
        "The Slack app is gone from the workspace {workspace}: {why}", "unplug", "bad"
    ),
    "slack.back": Kind("The Slack app works again in the workspace {workspace}", "plug", "good"),
    "slack.forgotten": Kind(
        "{actor} took the Slack workspace {workspace} off the list, and unlinked its people",
        "trash-2",
        "attention",
    ),
}
UNKNOWN = Kind("{kind}", "circle")


def kind_of(event: Event) -> Kind:
    """How this kind of event reads; unknown kinds are shown by their name."""
    kind = KINDS.get(event.kind, UNKNOWN)
    if event.kind == "promotion.requested" and event.data.get("kind") == "rollback":
        return Kind(
            "{actor} asked to roll {environment} back to {model} v{version}", "undo-2", "attention"
        )
    if event.kind == "deployment.paused" and event.actor:
        return Kind("{actor} paused the rollout: {reason}", kind.icon, kind.tone)
    if event.kind == "mark.placed":
        tone = "good" if event.data.get("mark") == MarkKind.GOOD else "bad"
        return Kind(kind.sentence, kind.icon, tone)
    if event.kind == "promotion.requested" and event.data.get("retroactive"):
        return Kind(
            "{actor} asked to adopt {model} v{version}, which is live in {environment} without a promotion",
            "send",
            "attention",
        )
    if event.kind == "evidence.recorded" and event.data.get("verdict") != EvidenceVerdict.PASS:
        return Kind(kind.sentence, "clipboard-x", "bad")
    return kind


def sentence_of(event: Event) -> str:
    """The event as one plain-text sentence."""
    values: dict[str, Any] = {
        **event.data,
        "kind": event.kind,
        "actor": str(event.actor) if event.actor else "Countersign",
        "model": event.target.model.name if event.target else event.data.get("model", ""),
        "environment": event.target.environment.name
        if event.target
        else event.data.get("environment", ""),
        "how": _how(event.data),
        "because": f": {event.data['reason']}" if event.data.get("reason") else "",
        "order": listed(event.data.get("order", [])),
        "wishes": listed(event.data.get("wishes", [])),
        "over": _over(event.data),
        "step_words": _step(event.data),
        "named": f" ({event.data['people']})" if event.data.get("people") else "",
        "for_whom": f" for {event.data['on_behalf_of']}" if event.data.get("on_behalf_of") else "",
        "differences": listed(event.data.get("differences", [])),
        "voided": _voided(event.data.get("voided", [])),
        "instead": f" instead of v{event.data['former']}" if event.data.get("former") else "",
        "was": f" (it was v{event.data['before']})" if event.data.get("before") else "",
        "outcome": "passed" if event.data.get("verdict") == EvidenceVerdict.PASS else "failed",
        "where": f" in {event.data['environment']}" if event.data.get("environment") else "",
        "changes": _changes(event.data.get("changes", [])),
        "registry": registry_words(event.data),
    }
    return kind_of(event).sentence.format_map(_Tolerant(values)).strip()


def whence(event: Event) -> str:
    """Where exactly it came from, for whoever looks closely: ``as U0BOB in C0RELEASES of T0ACME``."""
    place = event.data.get("origin") or {}
    words = (("as", "user"), ("in", "channel"), ("of", "team"))
    return " ".join(f"{word} {place[key]}" for word, key in words if place.get(key))


class _Tolerant(dict[str, Any]):
    """An event of an older release may lack a field: the sentence shows a dash, never an error."""

    def __missing__(self, key: str) -> str:
        return "–"


def _how(data: dict[str, Any]) -> str:
    """By what, where no person approved it."""
    if data.get("by_itself"):
        return f": it is rolled back by itself because {data['by_itself'].rstrip('.')}"
    return " automatically: every gate passes" if data.get("automatic") else ""


def _step(data: dict[str, Any]) -> str:
    """Of which step a run is, where a rollout has several."""
    if "step" not in data:
        return ""
    to = "going back" if data.get("goes_back") else f"step {data['step']}, {data.get('percent')} %"
    return f" ({to})"


def _over(data: dict[str, Any]) -> str:
    """What somebody who broke the glass went over."""
    missing = [f"{each} missing" for each in data.get("missing", [])]
    clauses = [*missing, *(each.rstrip(".") for each in data.get("over", []))]
    return f" (over: {'; '.join(clauses)})" if clauses else ""


def _voided(names: list[str]) -> str:
    return f"The reviews of {listed(names)} no longer count." if names else ""


def _changes(changes: list[str]) -> str:
    if not changes:
        return "nothing changed for anybody"
    shown = "; ".join(changes[:4])
    return shown if len(changes) <= 4 else f"{shown} and {len(changes) - 4} more"
