"""Template tags and filters of the pages."""

from __future__ import annotations

import functools
import zlib
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZipFile

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from approvals import markdown as markdown_
from approvals.calendar import in_zone
from approvals.models import (
    Event,
    ModelVersion,
    Person,
    Promotion,
    RegisteredModel,
    Restriction,
    Target,
    WorkflowRun,
)
from approvals.narrative import kind_of, sentence_of
from approvals.narrative import whence as whence_of
from approvals.selectors.catalogue import policy_words
from approvals.states import DeploymentStatus, PromotionStatus
from approvals.web import links
from approvals.web.claims import went_back

register = template.Library()

UNITS = [("day", 86400), ("hour", 3600), ("minute", 60)]


def relative(moment: datetime, now: datetime) -> str:
    """``just now``, ``3 minutes ago``, ``in 2 days``; static/countersign.js counts the same way."""
    seconds = (now - moment) / timedelta(seconds=1)
    # What lies ahead is rounded: "in 3 days" must not read "in 2 days" a second later.
    ahead = 0.5 if seconds < 0 else 0.0
    for name, length in UNITS:
        count = int(abs(seconds) / length + ahead) if abs(seconds) >= length * 0.95 else 0
        if count:
            amount = f"{count} {name}{'s' if count > 1 else ''}"
            return f"{amount} ago" if seconds > 0 else f"in {amount}"
    return "just now" if seconds >= 0 else "in a moment"


def local_day_and_time(moment: datetime) -> str:
    """``20 Nov 2026, 15:05 CET``: on the clocks of the person who looks (config.middleware.PersonalZone)."""
    local = timezone.localtime(moment)
    name = local.tzname() or ""
    if not name[:1].isalpha():  # zones without letters of their own are called +03 or -0330
        name = f"UTC{name[:3]}{':' if name[3:] else ''}{name[3:]}"
    return f"{local.day} {local:%b %Y, %H:%M} {name}"


@register.simple_tag
def when(moment: datetime | None) -> str:
    """A time, relative in words and exact in the title."""
    if moment is None:
        return "–"
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        moment.isoformat(timespec="seconds"),
        local_day_and_time(moment),
        relative(moment, timezone.now()),
    )


@register.simple_tag
def exactly(moment: datetime | None) -> str:
    """A time, exact."""
    if moment is None:
        return "–"
    iso = moment.isoformat(timespec="seconds")
    return format_html('<time datetime="{}">{}</time>', iso, local_day_and_time(moment))


@register.simple_tag
def on_clock(moment: datetime, zone: str) -> str:
    """A time on the clocks of a zone."""
    iso = moment.isoformat(timespec="seconds")
    return format_html('<time datetime="{}">{}</time>', iso, in_zone(moment, zone))


@register.filter
def duration(run: WorkflowRun) -> str:
    """How long a run took, ``1 min 5 s``; an empty text while it is not known."""
    if run.started_at is None or not run.is_completed:
        return ""
    seconds = int((run.updated_at - run.started_at).total_seconds())
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{max(seconds, 0)} s"


@functools.cache
def _drawings() -> ZipFile:
    """The package's icons, opened once: its own function reads the archive's directory for every icon."""
    return ZipFile(str(files("lucide") / "lucide.zip"))


@register.simple_tag
@functools.lru_cache(maxsize=512)
def icon(name: str, size: int = 16) -> SafeString:
    """An icon that only repeats what words say: hidden from assistive technology, never an error."""
    try:
        svg = _drawings().read(f"{name}.svg").decode()
    except KeyError:
        return icon("circle", size) if name != "circle" else mark_safe("")
    drawing = svg.partition(">")[2]
    return mark_safe(  # noqa: S308 - the package's own drawing
        f'<svg class="icon lucide-{name}" width="{size}" height="{size}" viewBox="0 0 24 24" fill="none" '
        'stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" '
        f'aria-hidden="true" focusable="false">{drawing}'
    )


# (icon, tone) of each status; the words stand beside it.
STATUS = {
    PromotionStatus.PENDING: ("hourglass", "waiting"),
    PromotionStatus.APPROVED: ("badge-check", "good"),
    PromotionStatus.REJECTED: ("circle-x", "bad"),
    PromotionStatus.CANCELLED: ("ban", "neutral"),
    PromotionStatus.EXPIRED: ("timer-off", "neutral"),
    PromotionStatus.SUPERSEDED: ("replace", "neutral"),
}
DELIVERY = {
    DeploymentStatus.QUEUED: ("Queued", "hourglass", "moving"),
    DeploymentStatus.DISPATCHING: ("Starting", "rocket", "moving"),
    DeploymentStatus.RUNNING: ("Running", "loader", "moving"),
    DeploymentStatus.WAITING: ("Rolling out", "chart-no-axes-column-increasing", "moving"),
    DeploymentStatus.SUCCEEDED: ("Live", "circle-check-big", "good"),
    DeploymentStatus.FAILED: ("Failed", "circle-x", "bad"),
    DeploymentStatus.CANCELLED: ("Deployment cancelled", "ban", "neutral"),
    DeploymentStatus.UNCONFIRMED: ("Unconfirmed", "circle-question-mark", "attention"),
}
CONCLUSIONS = {
    "success": ("Passed", "circle-check", "good"),
    "failure": ("Failed", "circle-x", "bad"),
    "timed_out": ("Timed out", "timer-off", "bad"),
    "startup_failure": ("Could not start", "circle-x", "bad"),
    "cancelled": ("Cancelled", "ban", "neutral"),
    "skipped": ("Skipped", "skip-forward", "neutral"),
    "action_required": ("Waits for somebody on GitHub", "hand", "attention"),
}


@register.simple_tag
def badge(text: str, icon_name: str, tone: str = "neutral", data: str = "", value: str = "") -> str:
    """A state in words, shape and colour; ``data`` and ``value`` make a ``data-…`` attribute."""
    attribute = format_html(' data-{}="{}"', data, value) if data else ""
    return format_html(
        '<span class="badge badge-{}"{}>{}<span>{}</span></span>',
        tone,
        attribute,
        icon(icon_name, 14),
        text,
    )


@register.simple_tag
def promotion_badge(promotion: Promotion) -> str:
    """The decision's status."""
    shape, tone = STATUS[PromotionStatus(promotion.status)]
    text = promotion.get_status_display()
    said = badge(text, shape, tone, "promotion-status", promotion.status)
    return format_html("{} {}", said, broken_glass(promotion)) if broken_glass(promotion) else said


@register.simple_tag
def broken_glass(promotion: Promotion | None) -> str:
    """The mark of what was approved by breaking the glass, for ever; empty for everything else."""
    if promotion is None or promotion.overridden_by_id is None:
        return ""
    return badge("Glass broken", "siren", "bad", "glass", "broken")


@register.simple_tag
def deployment_badge(promotion: Promotion) -> str:
    """The delivery's status; a version that was live and is not any more says so. Empty without one."""
    deployment = getattr(promotion, "deployment", None)
    if deployment is None:
        return ""
    text, shape, tone = DELIVERY[DeploymentStatus(deployment.status)]
    is_live = promotion.target.live_deployment_id == deployment.pk
    if deployment.status == DeploymentStatus.SUCCEEDED and not is_live:
        text, shape, tone = "Was live", "circle-check", "neutral"
    if went_back(deployment):
        # The rollout did not hold, and taking it back worked: nothing is broken now.
        text, shape, tone = "Went back", "undo-2", "attention"
    return badge(text, shape, tone, "deployment-status", deployment.status)


@register.simple_tag
def promotion_outcome(promotion: Promotion) -> str:
    """Why there is nothing to decide any more, in one sentence."""
    delivery = getattr(promotion, "deployment", None)
    sentences = {
        PromotionStatus.APPROVED: "Approved.",
        PromotionStatus.REJECTED: "Rejected; nothing was started.",
        PromotionStatus.CANCELLED: "Cancelled; nothing was started.",
        PromotionStatus.EXPIRED: "Expired; ask again if it is still wanted.",
        PromotionStatus.SUPERSEDED: "Superseded by a newer request.",
    }
    text = sentences.get(PromotionStatus(promotion.status), "")
    if delivery is not None and delivery.is_open:
        return f"{text} There is nothing to do: the deployment is followed by itself."
    return f"{text} There is nothing left to decide."


@register.simple_tag
def outcome_badge(status: str, conclusion: str | None) -> str:
    """The state of a workflow run or of one of its steps."""
    if status != "completed":
        words = {
            "in_progress": "Running",
            "queued": "Queued",
            "waiting": "Waiting",
            "pending": "To do",
        }
        moving = status == "in_progress"
        return badge(
            words.get(status, "Queued"),
            "loader" if moving else "circle-dashed",
            "moving" if moving else "neutral",
        )
    return badge(
        *CONCLUSIONS.get(conclusion or "", ("Unknown", "circle-question-mark", "attention"))
    )


@register.simple_tag
def verdict_badge(verdict: str) -> str:
    """Better, worse, same or unknown: the arrow says what the colour says."""
    words = {
        "better": ("better", "triangle-up", "good"),
        "worse": ("worse", "triangle-down", "bad"),
        "same": ("same", "equal", "neutral"),
    }
    if verdict not in words:
        return ""
    text, shape, tone = words[verdict]
    drawn = {
        "triangle-up": '<path d="M5 1 9.5 9h-9z"/>',
        "triangle-down": '<path d="M5 9 .5 1h9z"/>',
        "equal": '<path d="M0 2.5h10v1.8H0zM0 6.2h10V8H0z"/>',
    }[shape]
    svg = mark_safe(  # noqa: S308 - drawn above
        f'<svg class="shape" viewBox="0 0 10 10" width="9" height="9" aria-hidden="true">{drawn}</svg>'
    )
    return format_html('<span class="verdict verdict-{}">{}{}</span>', tone, svg, text)


@register.simple_tag
def avatar(person: Person | None, size: str = "") -> str:
    """A person's initials in a circle whose colour stays the same."""
    if person is None:
        return format_html(
            '<span class="avatar avatar-system {}">{}</span>', size, icon("stamp", 14)
        )
    hue = zlib.crc32(person.username.encode()) % 6
    return format_html(
        '<span class="avatar avatar-{} {}" aria-hidden="true">{}</span>', hue, size, person.initials
    )


@register.filter
def sentence(event: Event) -> str:
    """The event in words."""
    return sentence_of(event)


@register.filter
def whence(event: Event) -> str:
    """Where exactly it came from: user, channel and workspace of a chat."""
    return whence_of(event)


@register.simple_tag
def event_icon(event: Event) -> str:
    """The event's icon in its tone."""
    kind = kind_of(event)
    return format_html('<span class="dot dot-{}">{}</span>', kind.tone, icon(kind.icon, 15))


@register.filter
def http_only(address: str | None) -> str:
    """An address that may stand in a link: http or https, else nothing."""
    return address if address and urlsplit(address).scheme in {"http", "https"} else ""


@register.filter
def mlflow_version(version: ModelVersion) -> str:
    """The version in MLflow's own pages."""
    return links.mlflow_version(version)


@register.filter
def mlflow_run(version: ModelVersion) -> str:
    """The source run in MLflow's own pages."""
    return links.mlflow_run(version)


@register.filter
def mlflow_model(model: RegisteredModel) -> str:
    """The model in MLflow's own pages."""
    return links.mlflow_model(model)


@register.filter
def commit_url(version: ModelVersion) -> str:
    """The version's commit on GitHub."""
    return links.commit(version.model.repository, version.git_commit)


@register.filter
def repository_url(name: str) -> str:
    """The repository on GitHub."""
    return links.repository(name)


@register.filter
def at(by_target: dict[int, list[Any]], target: Target) -> list[Any]:
    """What belongs to this target."""
    return by_target.get(target.pk, [])


@register.filter
def kinds(restrictions: list[Restriction]) -> set[str]:
    """The kinds of these restrictions."""
    return {each.kind for each in restrictions}


@register.filter
def policy(target: Any) -> str:
    """Who must approve a promotion at a target."""
    return policy_words(target)


@register.filter
def rollback_policy(target: Any) -> str:
    """Who must approve a rollback at a target."""
    return policy_words(target, rollback=True)


@register.filter
def markdown(text: str) -> SafeString:
    """What a person wrote, its Markdown rendered; safe whatever stands in it."""
    return markdown_.to_html(text)


@register.filter
def items_sorted(mapping: dict[str, Any]) -> list[tuple[str, Any]]:
    """The items of a mapping by key. (``mapping.items`` would find a key called "items" first.)"""
    return sorted(mapping.items())
