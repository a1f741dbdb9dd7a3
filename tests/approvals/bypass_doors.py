"""The doors of the bypass matrix: each takes an attempt, and answers what it was told."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any
from urllib.parse import urlencode

from django.conf import settings as in_force
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.models import (
    Effect,
    Person,
)
from approvals.services import Refused
from approvals.states import Verdict, Via
from integrations import tasks
from integrations.github.views import signature
from integrations.models import SlackIdentity
from sandbox.slack.delivery import FORM, sign
from tests.approvals.bypass_refusals import OVERRIDE, WITHDRAW, Attempt
from tests.world import SLACK_TEAM, World

# -- the doors -----------------------------------------------------------------------------------------


@dataclass
class Kit:
    """What the doors need."""

    world: World
    private: list[str] = field(default_factory=list)
    dialogs: list[dict[str, Any]] = field(default_factory=list)
    watching: Attempt | None = None
    tokens: dict[str, str] = field(default_factory=dict)


def by_verb(kit: Kit, tried: Attempt) -> str:
    """The verb itself, which every other door has to call."""
    who: dict[str, Any] = {
        "actor": kit.world.person(tried.who),
        "via": Via.API,
        "promotion_id": tried.promotion.pk,
    }
    try:
        if tried.verb == OVERRIDE:
            services.override(**who, seal=tried.seal, reason=tried.comment)
        elif tried.verb == WITHDRAW:
            services.withdraw_review(**who)
        else:
            services.review(**who, verdict=Verdict.APPROVE, seal=tried.seal, comment=tried.comment)
    except Refused as refused:
        assert refused.code == tried.code
        return refused.sentence
    return ""


TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def by_browser(kit: Kit, tried: Attempt) -> str:
    """What a page's form sends, with Django's cross-site check on."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(kit.world.person(tried.who))
    # The form of a small page will do: the token is the session's.
    token = TOKEN.search(client.get(reverse("profile"), follow=True).content.decode())
    assert token is not None
    form = {"action": tried.verb, "seal": tried.seal, "text": tried.comment}
    form["csrfmiddlewaretoken"] = token[1]
    answer = client.post(tried.promotion.get_absolute_url(), form)
    if answer.status_code == 302 and "/accounts/login/" in answer["Location"]:
        return "sent to sign in"
    assert answer.status_code == (409 if tried.code else 302), answer.status_code
    return unescape(answer.content.decode())


def _to_slack(payload: dict[str, Any]) -> str:
    return _signed(urlencode({"payload": json.dumps(payload)}).encode())


def _signed(body: bytes) -> str:
    stamp = str(int(time.time()))
    answer = Client().post(
        "/integrations/slack/events",
        data=body,
        content_type=FORM,
        headers={
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": sign(in_force.SLACK_SIGNING_SECRET, stamp, body),
        },
    )
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def by_slack(kit: Kit, tried: Attempt) -> str:
    """A signed press of a button; where it opens a dialog, that dialog sent without what it asks for."""
    person = kit.world.person(tried.who)
    payload: dict[str, Any] = {
        "user": {"id": f"U0{tried.who.upper()}", "username": tried.who, "team_id": SLACK_TEAM},
        "team": {"id": SLACK_TEAM, "domain": "acme"},
        "api_app_id": "A0COUNTERSIGN",
        "token": "x",
        "trigger_id": "1.2.3",
    }
    assert SlackIdentity.objects.filter(person=person, user_id=payload["user"]["id"]).exists()
    button = {
        "type": "button",
        "action_id": tried.verb,
        "block_id": "decide",
        "action_ts": f"{time.time():.6f}",
        "value": json.dumps({"p": tried.promotion.pk, "s": tried.seal}),
    }
    kit.private.clear()
    kit.dialogs.clear()
    message = {"type": "message", "message_ts": "1.2", "channel_id": "C0RELEASES"}
    pressed = {"type": "block_actions", "actions": [button], "container": message}
    _to_slack({**payload, **pressed, "response_url": "http://127.0.0.1:9/"})
    said = " ".join(kit.private)
    for view in kit.dialogs:
        values = {"reason": {"text": {"type": "plain_text_input", "value": None}}}
        sent = {**view, "state": {"values": values}, "id": "V1"}
        said += _to_slack({**payload, "type": "view_submission", "view": sent})
    return said


def by_slash_command(kit: Kit, tried: Attempt) -> str:
    """What could be written behind ``/countersign`` to decide, and the buttons that its inbox shows."""
    said = ""
    number, reason = tried.promotion.pk, tried.comment or "x"
    written = (
        f"{tried.verb} {number} {reason}",
        f"approve {number}",
        f"override {number} {reason}",
    )
    for text in dict.fromkeys(written):  # the very same request twice would be a replay
        said += _commanded(tried.who, text)
    try:
        shown = json.loads(_commanded(tried.who, "inbox"))
    except ValueError:  # a sentence only: whoever it is may not even look
        return said
    for block in shown.get("blocks") or []:
        for each in block.get("elements") or []:
            is_this = str(each.get("value", "")).startswith(f'{{"p":{number},')
            if each.get("action_id") == "approve" and is_this:
                said += by_slack(kit, tried)
    return said


def _commanded(who: str, text: str) -> str:
    fields = {
        "command": "/countersign",
        "text": text,
        "user_id": f"U0{who.upper()}",
        "user_name": who,
        "team_id": SLACK_TEAM,
        "channel_id": "C0RELEASES",
        "response_url": "http://127.0.0.1:9/",
        "trigger_id": "1.2.3",
        "api_app_id": "A0COUNTERSIGN",
        "token": "x",
    }
    return _signed(urlencode(fields).encode())


def by_administration(kit: Kit, tried: Attempt) -> str:
    """Forms of the administration, as a superuser: there is none to add, change or delete a decision."""
    root, _ = Person.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    client, promotion = Client(), tried.promotion
    client.force_login(root)
    review = {"promotion": promotion.pk, "person": root.pk, "verdict": "approve"}
    tries: list[tuple[str, list[int], dict[str, Any]]] = [
        ("promotion_change", [promotion.pk], {"status": "approved", "seal": "0" * 64}),
        ("review_add", [], {**review, "seal": tried.seal, "via": "browser"}),
    ]
    for name, arguments, form in tries:
        answer = client.post(reverse(f"admin:approvals_{name}", args=arguments), form)
        assert answer.status_code == 403, name
    return ""


def by_command(kit: Kit, tried: Attempt) -> str:
    """``policy`` only reads; the configuration is applied anew, and every policy with it."""
    out, target = StringIO(), tried.promotion.target
    names = (target.model.name, target.environment.name)
    call_command("policy", "explain", *names, "--as", tried.who, stdout=out)
    call_command("policy", "table", stdout=out)
    call_command("apply_configuration", stdout=out)
    call_command("verify_history", stdout=out)
    return ""


def by_task(kit: Kit, tried: Attempt) -> str:
    """What beat and workers do, with everything due and every service answering."""
    kit.watching = tried
    Effect.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    tasks.look_after()
    tasks.deliver_effects()
    tasks.poll()
    tasks.look_after()
    return ""


def by_webhook(kit: Kit, tried: Attempt) -> str:
    """A run of GitHub's that names the promotion, forged and genuine, says that it was deployed."""
    now, promotion = timezone.now().isoformat(), tried.promotion
    run = {
        "id": 5,
        "run_attempt": 1,
        "run_number": 1,
        "path": ".github/workflows/deploy-model.yml",
        "display_title": f"Deploy [{promotion.token}]",
        "status": "completed",
        "conclusion": "success",
        "event": "workflow_dispatch",
        "created_at": now,
        "updated_at": now,
    }
    told = {"workflow_run": run, "repository": {"full_name": "acme/ml-models"}}
    body = json.dumps({"action": "completed", **told}).encode()
    for secret, status in (("not the secret", 401), (in_force.GITHUB_WEBHOOK_SECRET, 200)):
        answer = Client().post(
            "/integrations/github/webhook",
            data=body,
            content_type="application/json",
            headers={
                "X-GitHub-Event": "workflow_run",
                "X-GitHub-Delivery": f"d-{status}",
                "X-Hub-Signature-256": signature(secret, body),
            },
        )
        assert answer.status_code == status
    assert answer.content == b"recorded\n", "it is a run that is kept"
    return ""


def by_bulk(kit: Kit, tried: Attempt) -> str:
    """Many at once, each by its own policy."""
    [answer] = services.review_many(
        actor=kit.world.person(tried.who),
        via=Via.BROWSER,
        verdict=Verdict.APPROVE,
        items={tried.promotion.pk: tried.seal},
        comment=tried.comment,
    )
    assert (answer.refused.code if answer.refused else "") == tried.code
    return answer.refused.sentence if answer.refused else ""


def by_api(kit: Kit, tried: Attempt) -> str:
    """A bearer token of that person; a session would not do."""
    person = kit.world.person(tried.who)
    secret = kit.tokens.get(tried.who, "")
    address = f"/api/v1/promotions/{tried.promotion.pk}"
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    if tried.verb == WITHDRAW:
        answer = client.delete(f"{address}/reviews/mine")
    else:
        override = tried.verb == OVERRIDE
        body = {"seal": tried.seal or "0" * 64, "reason" if override else "comment": tried.comment}
        body |= {} if override else {"verdict": "approve"}
        way = "override" if override else "reviews"
        answer = client.post(f"{address}/{way}", json.dumps(body), "application/json")
    said = answer.json()
    assert answer.status_code in ({401, 403, 404, 409, 422} if tried.code else {201}), said
    if person.is_active and tried.code:
        assert said["code"] == tried.code, said
    return str(said.get("message", ""))
