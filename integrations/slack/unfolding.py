"""What a pasted address leads to, in a few lines below the message: for a linked person who pasted it, and only
where everybody who reads it is of the same organisation."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote, urlsplit

import structlog
from django.conf import settings
from django.http import Http404
from django.urls import Resolver404, ResolverMatch, resolve
from django.utils import timezone

from approvals.compare import compare_metrics
from approvals.explain import Explanation, explain
from approvals.models import Effect, ModelVersion, Promotion, RegisteredModel, Target
from approvals.services import Refused
from approvals.summary import title_of
from approvals.wording import listed, one_line
from integrations.errors import Rejected, Unavailable
from integrations.slack.blocks import Block, context, section
from integrations.slack.client import slack
from integrations.slack.home import metric_words, page_link
from integrations.slack.identities import SlackUser, person_of
from integrations.slack.outcomes import state_words
from integrations.slack.text import inert, moment
from integrations.slack.workspaces import is_configured

log = structlog.get_logger(__name__)
PAGES = {"promotion", "version", "model"}
# So many of one message's addresses are unfolded.
MOST = 5
# A summary that comes later helps nobody: the conversation went on.
PATIENCE = timedelta(minutes=10)


def leads_to(url: str) -> ResolverMatch | None:
    """The page behind an address, if it is one of ours that can be told in a few lines."""
    base, parts = urlsplit(settings.BASE_URL), _parts(url)
    if parts is None or (parts[0], parts[1]) != (base.scheme, base.netloc.lower()):
        return None
    try:
        found = resolve(unquote(parts[2]).removeprefix(base.path))
    except (Resolver404, Http404, ValueError):
        return None
    return found if found.url_name in PAGES else None


def _parts(url: str) -> tuple[str, str, str] | None:
    """Scheme, host with port, and path; None for what is no address. No port is taken for another one: what
    Slack sends is what was written."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.scheme.lower(), parts.netloc.lower(), parts.path


def deliver(effect: Effect) -> None:
    """Unfold what a linked, active person pasted; for anybody else nothing happens at all. Raises Unavailable.

    Once per message however often it is delivered: Slack replaces what it shows for an address.
    """
    payload = effect.payload
    if not is_configured() or timezone.now() - effect.created_at > PATIENCE:
        return
    user = SlackUser(str(payload["team"]), str(payload["user"]))
    try:
        person_of(user)
    except Refused:
        return
    shown = {url: {"blocks": blocks} for url in payload["links"] if (blocks := summary(url))}
    if not shown:
        return
    try:
        with slack(team=user.team_id) as client:
            client.chat_unfurl(channel=payload["channel"], ts=payload["ts"], unfurls=shown)
    except Rejected as error:
        # Deleted meanwhile, or a conversation where the app may not: nothing that anybody could mend.
        log.info("address not unfolded", error=str(error))
    except Unavailable:
        if timezone.now() - effect.created_at < PATIENCE:
            raise


def summary(url: str) -> list[Block]:
    """The blocks for an address of ours; none where it leads to nothing."""
    found = leads_to(url)
    if found is None:
        return []
    wanted = found.kwargs
    if found.url_name == "promotion":
        promotion = (
            Promotion.objects.select_related(
                "target__model",
                "target__environment",
                "version__model",
                "replaces",
                "requester",
                "deployment",
            )
            .filter(pk=min(wanted["pk"], 2**63 - 1))
            .first()
        )
        return of_promotion(promotion) if promotion else []
    model = RegisteredModel.objects.filter(name=wanted["name"]).first()
    if model is None:
        return []
    if found.url_name == "model":
        return of_model(model)
    number = min(wanted["number"], 2**31 - 1)
    version = model.versions.filter(number=number).order_by("-id").first()
    return of_version(version) if version else []


def of_promotion(promotion: Promotion) -> list[Block]:
    """Title, where it stands, who is missing, the first metrics. It calls nobody: whoever is asked was called in
    the promotion's own message."""
    explained = explain(promotion)
    replaces = f", replacing v{promotion.replaces.number}" if promotion.replaces else ""
    lines = [
        f"*{page_link(promotion.get_absolute_url(), title_of(promotion))}*{replaces}",
        f">{inert(str(promotion.requester), 80)}: {inert(one_line(promotion.reason, 200), 300)}",
        f"*{state_words(promotion)}*",
        metric_words(promotion),
    ]
    if promotion.is_pending:
        lines.append(_missing(explained))
        lines += [f":warning: Blocked: {inert(each, 300)}" for each in explained.blockers[:2]]
    small = [f"Promotion {promotion.pk}"]
    if promotion.is_pending:
        small.append(f"Open until {moment(promotion.expires_at)}")
    elif promotion.decided_at:
        small.append(f"Settled {moment(promotion.decided_at)}")
    return [section("\n".join(filter(None, lines))), context("  ·  ".join(small))]


def _missing(explained: Explanation) -> str:
    rows = [inert(row.sentence, 300) for row in explained.rows if row.missing]
    return "\n".join(rows[:4]) or "Nobody is missing."


def of_version(version: ModelVersion) -> list[Block]:
    """Where it is live, and its first metrics."""
    model = version.model
    live = [each.environment.name for each in _live_at(model) if each.live_version_id == version.pk]
    rows = compare_metrics(version.metrics, {}, model.metrics)[:3]
    lines = [
        f"*{page_link(version.get_absolute_url(), str(version))}*",
        f"Live in {inert(listed(live), 300)}" if live else "Not live anywhere",
        "  ·  ".join(
            f"*{inert(row.name, 80)}* {row.candidate}" for row in rows if row.candidate != "–"
        ),
    ]
    return [section("\n".join(filter(None, lines)))]


def of_model(model: RegisteredModel) -> list[Block]:
    """What of it is live where."""
    places = [
        f"{inert(each.environment.name, 60)} *v{each.live_version.number}*"
        for each in _live_at(model)[:10]
        if each.live_version
    ]
    live = f"Live: {', '.join(places)}" if places else "Nothing of it is live"
    return [section(f"*{page_link(model.get_absolute_url(), model.name)}*\n{live}")]


def _live_at(model: RegisteredModel) -> list[Target]:
    found = model.targets.filter(is_active=True, live_version__isnull=False)
    rows = found.select_related("environment", "live_version")
    return list(rows.order_by("-environment__position"))
