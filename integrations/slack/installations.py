"""Installing the app in workspaces by OAuth, keeping their tokens fresh, and noticing that it was removed.

Slack's OAuth 2: the administrator is sent to Slack with a state that their session and nobody else's knows, and
comes back with a code that is good once, for ten minutes. With token rotation a token lives for twelve hours and
comes with a refresh token that is good once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import structlog
import yaml
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from approvals.models import Person
from approvals.services import Refused
from approvals.services.history import record, refresh_pending
from approvals.states import Via
from integrations.errors import Rejected, Unavailable
from integrations.models import Poll, SlackIdentity, SlackWorkspace
from integrations.slack import standings, workspaces
from integrations.slack.client import TOKEN_ERRORS, code_of, speaking
from integrations.slack.encryption import Undecryptable, decrypt, encrypt, is_current
from integrations.slack.messages import address

log = structlog.get_logger(__name__)
MANIFEST = Path(settings.ROOT) / "slack-manifest.yaml"
# slack_sdk's own rotator begins as early; until then there is time to look again and again.
RENEW_BEFORE = timedelta(hours=2)
AGAIN = "Install the app again."
# How often a workspace is looked at, in seconds: quickly while there are more people to ask about.
QUICK, CALM = 60.0, 300.0


def redirect_uri() -> str:
    """Where Slack sends the administrator back to; it stands in the app's settings too."""
    return address("/integrations/slack/oauth")


def scopes() -> list[str]:
    """What the app asks for: the bot scopes of the manifest."""
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    return list(manifest["oauth_config"]["scopes"]["bot"])


def authorize_address(state: str) -> str:
    """Slack's page on which an administrator of the workspace allows the app."""
    asked = {
        "client_id": settings.SLACK_CLIENT_ID,
        "scope": ",".join(scopes()),
        "redirect_uri": redirect_uri(),
        "state": state,
    }
    root = settings.SLACK_API_URL.rstrip("/").removesuffix("/api")
    return f"{root}/oauth/v2/authorize?{urlencode(asked)}"


def insist_on_administrator(actor: Person) -> None:
    """Raises Refused: only administrators install, as whoever belongs to a workspace may get linked."""
    if not (actor.is_active and actor.is_superuser):
        raise Refused("may_not_administer", "You may not, because only administrators may.")
    if not settings.SLACK_CLIENT_ID:
        raise Refused(
            "not_installable",
            "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET are not set, so the app cannot be installed from here.",
        )


def install(*, actor: Person, code: str, via: str = Via.BROWSER) -> SlackWorkspace:
    """Take the code that Slack sent the administrator back with to a token, and keep it. Raises Refused."""
    insist_on_administrator(actor)
    asked_at = timezone.now()
    try:
        answer = _oauth(code=code, redirect_uri=redirect_uri())
    except (Unavailable, Rejected) as error:
        raise Refused(
            "slack_said_no", f"The app was not installed: {str(error).rstrip('.')}. Start again."
        ) from None
    return _keep(actor, answer, asked_at, via)


@transaction.atomic
def _keep(actor: Person, answer: Mapping[str, Any], now: datetime, via: str) -> SlackWorkspace:
    team, enterprise = answer.get("team") or {}, answer.get("enterprise") or {}
    for_all = bool(answer.get("is_enterprise_install"))
    here = enterprise if for_all else team
    if answer.get("token_type") != "bot" or not answer.get("access_token") or not here.get("id"):
        raise Refused("no_bot", "Slack gave no bot token, so the app was not installed.")
    row, _ = SlackWorkspace.objects.select_for_update().get_or_create(team_id=str(here["id"]))
    row.enterprise_id = str(enterprise.get("id") or "")
    row.name = str(here.get("name") or "")[:200]
    row.bot_user_id = str(answer.get("bot_user_id") or "")
    row.scopes = [each for each in str(answer.get("scope") or "").split(",") if each]
    _put(row, answer, now)
    row.installed_by, row.installed_at, row.is_active = actor, now, True
    row.save()
    record(
        "slack.installed",
        via=via,
        actor=actor,
        now=now,
        team=row.team_id,
        workspace=str(row),
        scopes=row.scopes,
    )
    refresh_pending(f"slack-installed-{row.pk}", now)
    return row


def _put(row: SlackWorkspace, answer: Mapping[str, Any], now: datetime) -> None:
    """The tokens of an answer, encrypted; what was wrong with the former ones is over."""
    row.token = encrypt(str(answer["access_token"]))
    row.refresh_token = encrypt(str(answer.get("refresh_token") or ""))
    lasts = answer.get("expires_in")
    row.expires_at = now + timedelta(seconds=int(lasts)) if lasts else None
    row.succeeded_at, row.problem, row.problem_at = now, "", None


def _oauth(**arguments: str) -> Mapping[str, Any]:
    """Ask for a token. Raises Unavailable or Rejected."""
    with speaking(None) as client:
        answer = client.oauth_v2_access(
            client_id=settings.SLACK_CLIENT_ID,
            client_secret=settings.SLACK_CLIENT_SECRET,
            **arguments,
        )
        found: Mapping[str, Any] = answer.data if isinstance(answer.data, dict) else {}
        return found


def renew(team: str, *, now: datetime) -> None:
    """Where the token of a workspace will soon be over, take the refresh token to a new pair, which is committed
    before anybody uses it. Raises Unavailable where Slack cannot be asked: the old token is good still.

    A refresh token is good once. So one process at a time does it; and where Slack's answer was lost, or the
    process died before it was kept, the next try is refused and only installing again helps.
    """
    with _alone(team) as alone:
        row = SlackWorkspace.objects.filter(team_id=team, is_active=True).first()
        if not alone or row is None or row.expires_at is None:
            return
        if row.expires_at - now > RENEW_BEFORE:
            return
        used = row.refresh_token
        if row.problem and not used:
            return  # it was said already
        try:
            fresh = decrypt(used)
        except Undecryptable as error:
            _trouble(team, used, f"{str(error).capitalize()}.", now)
            return
        if not fresh or not settings.SLACK_CLIENT_ID:
            why = "there is no refresh token" if not fresh else "SLACK_CLIENT_ID is not set"
            _trouble(team, used, f"Its token cannot be renewed, because {why}. {AGAIN}", now)
            return
        try:
            answer = _oauth(grant_type="refresh_token", refresh_token=fresh)
        except (Unavailable, Rejected) as error:
            code = code_of(error.__cause__)
            if isinstance(error, Unavailable) and code not in TOKEN_ERRORS:
                raise
            sentence = f"Its token cannot be renewed ({code}). {AGAIN}"
            _trouble(team, used, sentence, now, dead=code == "invalid_refresh_token")
            return
        with transaction.atomic():
            locked = SlackWorkspace.objects.select_for_update().get(pk=row.pk)
            if locked.refresh_token == used:  # else it was installed anew meanwhile
                _put(locked, answer, now)
                locked.save()


@contextmanager
def _alone(team: str) -> Iterator[bool]:
    """Whether nobody else renews the tokens of this workspace now. A lock of the session, as Slack is called
    while it is held; it goes when the connection does."""
    name = f"slack-renew:{team}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])


def _trouble(team: str, used: str, sentence: str, now: datetime, *, dead: bool = False) -> None:
    """Note a problem of the refresh token ``used``, unless another one was installed meanwhile. A ``dead`` one is
    forgotten."""
    log.warning("slack token not renewed", team=team, why=sentence)
    rows = SlackWorkspace.objects.filter(team_id=team, refresh_token=used, is_active=True)
    rows.exclude(problem=sentence).update(problem=sentence, problem_at=now)
    if dead:
        rows.update(refresh_token="")


@transaction.atomic
def removed(team: str, *, now: datetime, why: str) -> None:
    """Slack says that the app was uninstalled, or its token revoked: at once nobody there decides, and nothing is
    posted. Its token is tried right away (``look``): if it works, the news was late, and the app is installed."""
    row = SlackWorkspace.objects.select_for_update().filter(team_id=team).first()
    if row is None and settings.SLACK_BOT_TOKEN and team == workspaces.default_team():
        row = SlackWorkspace.objects.create(team_id=team)
    if row is None or not row.is_active:
        return
    row.is_active, row.problem_at = False, now
    row.problem = f"{why} Nothing is posted there, and its people cannot decide in Slack. {AGAIN}"
    row.save()
    Poll.objects.filter(kind="slack", key=team).update(due_at=now)
    record("slack.uninstalled", via=Via.SLACK, now=now, team=team, workspace=str(row), why=why)
    refresh_pending(f"slack-removed-{row.pk}", now)


@transaction.atomic
def forget(*, actor: Person, team: str, via: str = Via.BROWSER) -> None:
    """Take a workspace that the app was uninstalled from off the list, with the links of its people. Raises
    Refused."""
    if not (actor.is_active and actor.is_superuser):
        raise Refused("may_not_administer", "You may not, because only administrators may.")
    row = SlackWorkspace.objects.select_for_update().filter(team_id=team, is_active=False).first()
    if row is None:
        raise Refused("still_installed", "Uninstall the app in Slack first.")
    now = timezone.now()
    SlackIdentity.objects.filter(team_id=team).delete()
    record("slack.forgotten", via=via, actor=actor, now=now, team=team, workspace=str(row))
    row.delete()


def look(team: str) -> float:
    """What is looked at again and again in a workspace: its token, whether it works, who its people are.
    Returns the seconds until the next look. Raises Unavailable or Rejected."""
    now = timezone.now()
    renew(team, now=now)
    encrypt_anew(team)
    row = SlackWorkspace.objects.filter(team_id=team).first()
    if row is None or not row.name or row.problem or not row.is_active:
        row = _try(team, now)
    if not row.is_active:
        return CALM
    return QUICK if standings.look(team, now=now) else CALM


def _try(team: str, now: datetime) -> SlackWorkspace:
    """Whether the token works: then what was wrong is over, and the workspace's name is known. A token that Slack
    refuses is forgotten. Raises Unavailable."""
    kept = SlackWorkspace.objects.filter(team_id=team).exclude(token="").first()
    by_settings = bool(settings.SLACK_BOT_TOKEN) and team in settings.SLACK_TEAM_ID
    inactive = kept is not None and not kept.is_active and not by_settings
    try:
        token = decrypt(kept.token) if kept is not None and inactive else workspaces.token_of(team)
        with speaking(token) as client:
            answer = client.auth_test()
    except Undecryptable as error:
        raise Unavailable(f"Slack's workspace {kept}: {error}.") from None
    except Unavailable as error:
        if kept is None or not inactive or code_of(error.__cause__) not in TOKEN_ERRORS:
            raise
        kept.token, kept.refresh_token, kept.expires_at = "", "", None
        kept.save(update_fields=["token", "refresh_token", "expires_at"])
        return kept
    with transaction.atomic():
        row, _ = SlackWorkspace.objects.select_for_update().get_or_create(team_id=team)
        row.name = str(answer.get("team") or row.name or team)[:200]
        row.enterprise_id = str(answer.get("enterprise_id") or row.enterprise_id)
        row.bot_user_id = str(answer.get("user_id") or row.bot_user_id)
        back, row.is_active, row.succeeded_at = not row.is_active, True, now
        if row.expires_at is None or row.expires_at - now > RENEW_BEFORE:
            row.problem, row.problem_at = "", None  # else it works for a while only
        row.save()
        if back:
            record("slack.back", via=Via.SYSTEM, now=now, team=team, workspace=str(row))
            refresh_pending(f"slack-back-{row.pk}", now)
    return row


def encrypt_anew(team: str = "") -> tuple[int, list[str]]:
    """Encrypt the tokens of one workspace, or of all, with the key in force. Returns how many workspaces were
    written, and one sentence for each that no key can read."""
    rows = SlackWorkspace.objects.exclude(token="")
    written, failed = 0, []
    for each in rows.filter(team_id=team) if team else rows:
        if is_current(each.token) and is_current(each.refresh_token):
            continue
        with transaction.atomic():
            row = SlackWorkspace.objects.select_for_update().get(pk=each.pk)
            try:
                row.token = encrypt(decrypt(row.token))
                row.refresh_token = encrypt(decrypt(row.refresh_token))
            except Undecryptable as error:
                sentence = f"{str(error)[0].upper()}{str(error)[1:]}."
                failed.append(f"{row}: {sentence}")
                row.problem, row.problem_at = sentence, timezone.now()
            else:
                written += 1
            row.save()
    return written, failed
