"""The slash command over real HTTP: what it shows, what it changes, what it refuses, and who sees it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import (
    Delegation,
    Deployment,
    Environment,
    Event,
    Freeze,
    Person,
    Promotion,
    RegisteredModel,
    Restriction,
    Review,
    Target,
)
from approvals.selectors.live import live_at
from approvals.states import Via
from integrations.models import SlackIdentity
from integrations.slack.listeners.commands.table import SUBCOMMANDS
from tests import blockkit
from tests.integrations.slack_fixtures import Slack, slack, snapshot, static_folder
from tests.snapshots import assert_snapshot
from tests.world import World

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("http", "socket")
JSON = dict[str, Any]


def said(slack: Slack, user: str, text: str) -> JSON:
    answer = slack.post("command", user=user, command="/countersign", text=text)
    assert answer["status"] == 200, answer
    for each in answer["ephemeral"]:
        blockkit.validate_message(each)
    return answer


def private(slack: Slack, user: str, text: str) -> str:
    """The private answer; nothing was changed and nobody else saw anything."""
    before, shown = snapshot(), len(slack.messages())
    answer = said(slack, user, text)
    assert answer["opened_view"] is None, answer
    [message] = answer["ephemeral"]
    assert snapshot() == before and len(slack.messages()) == shown
    blocks = json.dumps(message.get("blocks") or [], ensure_ascii=False)
    return f"{message['text']}\n{blocks}"


def public(slack: Slack, user: str, text: str) -> str:
    """What everybody in the channel reads; there is no private answer beside it."""
    answer = said(slack, user, text)
    assert answer["ephemeral"] == [] and answer["opened_view"] is None, answer
    return str(slack.messages()[-1]["text"])


def dialog(slack: Slack, user: str, text: str) -> JSON:
    before = snapshot()
    answer = said(slack, user, text)
    assert answer["ephemeral"] == [] and snapshot() == before
    view: JSON = answer["opened_view"]
    assert view is not None, answer
    valid(view)
    return view


def valid(view: JSON) -> None:
    kept = blockkit.VIEW_KEYS & view.keys()
    blockkit.validate_view({key: view[key] for key in kept if view[key] not in (None, "")})


def steady(view: JSON) -> JSON:
    """Without what differs from run to run: rows' ids, and the address that is answered to."""
    text = json.dumps(
        {key: view[key] for key in ("type", "callback_id", "title", "submit", "blocks")}
    )
    text = re.sub(r'"(version|target)-\d+"', r'"\1-1"', text)
    text = re.sub(r'"value": "\d+"', '"value": "1"', text)
    made: JSON = json.loads(re.sub(r"\bRegistered [^\"]*", "Registered then", text))
    return made


def held(view: JSON) -> dict[str, Any]:
    """What is filled in already, by the kind of box."""
    found = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            element = block["element"]
            initial = [value for key, value in element.items() if key.startswith("initial_")]
            [one] = initial or [None]
            kind = block["block_id"].partition("-")[0]
            found[kind] = one["text"]["text"] if isinstance(one, dict) else one
    return found


# -- asking ----------------------------------------------------------------------------------------


def test_a_whole_promotion_in_one_line(slack: Slack) -> None:
    slack.world.version(2)
    reason = 'It catches <!channel> & "more" fraud; see @bob'
    text = public(slack, "alice", f"promote fraud-detector v2 production {reason}")
    promotion = Promotion.objects.get()
    assert promotion.reason == reason and str(promotion.requester) == "Alice Anders"
    assert (promotion.via, promotion.target.environment.name) == (Via.SLACK, "production")
    assert text.startswith("*Alice Anders* asks: <")
    assert (
        promotion.get_absolute_url() in text and "Promote fraud-detector v2 to production" in text
    )
    assert "<!channel>" not in text and "&lt;!channel&gt;" in text
    assert Event.objects.get(kind="promotion.requested").via == Via.SLACK
    assert slack.calls("users.info") == 0, "no time was spoken of"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("promote", {"model": None, "reason": None}),
        ("promote fraud-detector", {"model": "fraud-detector", "version": None, "reason": None}),
        (
            "promote FRAUD-detector 2",
            {
                "model": "fraud-detector",
                "version": "v2 · train-2",
                "target": None,
                "reason": None,
            },
        ),
        (
            "promote fraud-detector v2 to production",
            {
                "model": "fraud-detector",
                "version": "v2 · train-2",
                "target": "production",
                "reason": None,
            },
        ),
    ],
)
def test_what_is_missing_is_asked_for(slack: Slack, text: str, filled: JSON) -> None:
    slack.world.version(2)
    view = dialog(slack, "alice", text)
    assert view["callback_id"] == "ask_for_promotion"
    assert held(view) == filled
    assert_snapshot(f"commands/promote-{len(filled)}-{len(text)}", steady(view))


def test_the_dialog_asks_and_tells_the_channel(slack: Slack) -> None:
    slack.world.version(2)
    view = dialog(slack, "alice", "promote fraud-detector 2 production")
    answer = slack.submit("alice", view, reason={"text": " "})
    assert answer["errors"] == {"reason": "Say why: the people who decide read it first."}
    assert not Promotion.objects.exists()
    slack.submit("alice", view, reason={"text": "It is better."})
    assert Promotion.objects.get().reason == "It is better."
    [told] = slack.messages()
    assert told["text"].startswith("*Alice Anders* asks: <") and ">It is better." in told["text"]


def test_a_rollback(slack: Slack) -> None:
    for number in (1, 2, 3):
        slack.world.make_live(slack.world.version(number))
    Promotion.objects.filter(status="pending").delete()
    view = dialog(slack, "bob", "rollback fraud-detector production")
    assert held(view) == {
        "model": "fraud-detector",
        "target": "production",
        "version": "v2 · train-2",
        "reason": None,
    }
    assert "It was live until" in json.dumps(view)
    slack.submit("bob", view, reason={"text": "It drifts."})
    first = Promotion.objects.get(kind="rollback")
    assert (first.version.number, first.reason, first.via) == (2, "It drifts.", Via.SLACK)
    text = public(slack, "bob", "rollback fraud-detector production 1 2 has the same fault")
    second = Promotion.objects.exclude(pk=first.pk).get(kind="rollback")
    assert (second.version.number, second.reason) == (1, "2 has the same fault")
    assert "Roll production back to fraud-detector v1" in text


# -- refusals --------------------------------------------------------------------------------------

REFUSED = {
    # (who, what they write): what they are told, and nobody else
    ("alice", "promote frawd-detector 2 production x"): "Did you mean fraud-detector",
    ("alice", "promote fraud-detector 9 production x"): "has no version 9. The newest is v2.",
    ("alice", "promote fraud-detector latest production x"): "is no version. Write v12 or 12.",
    ("alice", "promote fraud-detector 2 prod x"): "Did you mean production?",
    ("alice", "promoet fraud-detector 2 production x"): "Did you mean promote",
    ("alice", f"promote fraud-detector 2 production {'x' * 2001}"): "2,001 characters",
    ("alice", "approve 1"): "There is no “approve”",
    ("mallory", "promote fraud-detector 2 production x"): "You may not, because asking here",
    ("mallory", "freeze production x"): "You may not, because you are in none of the teams",
    ("mallory", "lock fraud-detector production x"): "You may not",
    ("mallory", "delegate @bob for 2d x"): "You are in no team",
    ("bob", "rollback fraud-detector production x"): "There is no known-good version",
    ("bob", "unlock fraud-detector production x"): "has no lock",
    ("bob", "unfreeze production x"): "Nobody has frozen production",
    ("bob", "freeze production for the weekend"): "No duration is understood in “the”",
    ("bob", "freeze production until 2020-01-01 x"): "A freeze ends after it begins",
    ("bob", "delegate @bob for 2d"): "You decide for yourself already",
    ("bob", "delegate carrol for 2d"): "Did you mean carol?",
    ("bob", "delegate @frank for 2d"): "Slack account is not linked",
    ("bob", "delegate end"): "You have not delegated anything.",
    ("bob", "live at soon"): "No time is understood in “soon”",
    ("bob", "live at 2099-01-01"): "is still to come",
    ("bob", "status fraud detector"): "There is no model “fraud”",
    ("bob", "status fraud-detector now"): "is not understood here",
    ("frank", "inbox"): "Link your account first",
    ("frank", "promote fraud-detector 2 production x"): "Link your account first",
    ("eve", "help"): "people of other organisations",
    ("eve", "link"): "people of other organisations",
}  # fmt: skip


def test_refusals_are_private_and_change_nothing(slack: Slack) -> None:
    slack.world.version(2)
    for (user, text), expected in REFUSED.items():
        assert expected in private(slack, user, text), (user, text)
    Person.objects.filter(username="bob").update(is_active=False)
    assert "your account is not active" in private(slack, "bob", "freeze production x")
    assert not Promotion.objects.exists() and not Freeze.objects.exists()
    assert not Delegation.objects.exists() and slack.messages() == []


def test_the_dialogs_refuse_at_the_right_box(slack: Slack) -> None:
    world = slack.world
    world.version(2)
    view = dialog(slack, "alice", "promote fraud-detector 2 production")
    services.quarantine(
        actor=world.person("bob"), via=Via.BROWSER, version_id=world.version(2).pk, reason="Leaks."
    )
    errors = slack.submit("alice", view, reason={"text": "x"})["errors"]
    [(box, sentence)] = errors.items()
    assert box.startswith("version-") and "quarantined" in sentence
    view = dialog(slack, "bob", "freeze production")
    errors = slack.submit("bob", view, until={"text": "soon"}, reason={"text": "x"})["errors"]
    assert "“soon” is not understood" in errors["until"]
    view = dialog(slack, "bob", "delegate")
    filled = {"until": {"text": "2d"}, "reason": {"text": ""}}
    errors = slack.submit("bob", view, person={"person": "U0FRANK"}, **filled)["errors"]
    assert "not linked" in errors["person"]
    # Whoever loses the link meanwhile does nothing any more.
    SlackIdentity.objects.filter(user_id="U0BOB").delete()
    errors = slack.submit("bob", view, person={"person": "U0CAROL"}, **filled)["errors"]
    assert "Link your account" in str(errors)
    assert not Promotion.objects.exists() and not Freeze.objects.exists()
    assert not Delegation.objects.exists() and slack.messages() == []


# -- closing and opening ---------------------------------------------------------------------------


def test_freezing_and_lifting(slack: Slack) -> None:
    text = public(slack, "dave", "freeze production until 2026-12-24 18:00 The <!here> migration")
    placed = Freeze.objects.get()
    assert placed.ends_at == datetime(2026, 12, 24, 17, 0, tzinfo=UTC), "dave lives in Amsterdam"
    assert "froze *production* until Thu 24 Dec 2026, 18:00 Europe/Amsterdam" in text
    assert "&lt;!here&gt;" in text and "/freezes/|freezes>" in text
    assert Event.objects.get(kind="environment.frozen").via == Via.SLACK
    assert "lifted the freeze of *production*" in public(slack, "bob", "unfreeze production Done.")
    public(slack, "bob", "freeze staging Incident 12")
    assert Freeze.objects.get(lifted_at=None).ends_at is None
    view = dialog(slack, "bob", "freeze production for 2h")
    filled = held(view)
    assert filled["environment"] == "production" and re.fullmatch(r"\d{4}-.*:\d\d", filled["until"])
    slack.submit("bob", view, until={"text": "2h"}, reason={"text": "Too."})
    assert Freeze.objects.filter(lifted_at=None).count() == 2
    public(slack, "bob", "freeze production Once more")
    view = dialog(slack, "bob", "unfreeze production All of it")
    options = next(b for b in view["blocks"] if b["block_id"] == "placed")["element"]["options"]
    assert len(options) == 2, "which one is asked"
    slack.submit("bob", view, placed={"placed": options[1]["value"]}, reason={"text": "Over."})
    lifted = Freeze.objects.get(pk=int(options[1]["value"]))
    assert lifted.lifted_reason == "Over." and str(lifted.lifted_by) == "Bob Brandt"


def test_locking_and_unlocking(slack: Slack) -> None:
    text = public(slack, "bob", "lock fraud-detector in production Audit.")
    assert "*Bob Brandt* locked <" in text and text.endswith(">Audit.")
    assert "Already done" in private(slack, "bob", "lock fraud-detector production Again.")
    view = dialog(slack, "carol", "unlock fraud-detector production")
    assert held(view) == {"model": "fraud-detector", "target": "production", "reason": None}
    slack.submit("carol", view, reason={"text": "Passed."})
    assert Restriction.objects.get().lifted_reason == "Passed."
    assert "unlocked" in slack.messages()[-1]["text"]


def test_delegating(slack: Slack) -> None:
    text = public(slack, "bob", "delegate @carol for 3d On holiday")
    made = Delegation.objects.get()
    assert str(made) == "Bob Brandt to Carol Chen" and made.reason == "On holiday"
    assert timedelta(days=2, hours=23) < made.until - timezone.now() <= timedelta(days=3)
    assert "*Carol Chen* may approve for them until" in text
    assert "decides for themselves again" in public(slack, "bob", "delegate end")
    public(slack, "bob", "delegate dave until tomorrow 9:00")
    assert held(dialog(slack, "bob", "delegate carol Sick")) == {
        "person": "U0CAROL",
        "until": None,
        "reason": "Sick",
    }
    view = dialog(slack, "carol", "delegate @dave")
    assert held(view) == {"person": "U0DAVE", "until": None, "reason": None}
    slack.submit("carol", view, until={"text": "2d"}, reason={"text": ""})
    assert Delegation.objects.filter(ended_at=None).count() == 2
    SlackIdentity.objects.filter(user_id="U0DAVE").delete()
    assert "Say until when Dave Diaz may approve" in private(slack, "bob", "delegate dave Sick")


@pytest.mark.parametrize("text", ["freeze", "unfreeze", "lock", "rollback", "delegate"])
def test_dialogs_without_anything_known(slack: Slack, text: str) -> None:
    services.freeze(
        actor=slack.world.person("bob"),
        via=Via.BROWSER,
        environment_id=Environment.objects.get(name="production").pk,
        reason="‮<!channel> " + "نص طويل " * 60,
    )
    view = dialog(slack, "bob", text)
    assert_snapshot(f"commands/{text}", steady(view))


# -- showing ---------------------------------------------------------------------------------------


def test_help_is_made_from_the_table(slack: Slack) -> None:
    slack.world.request()
    for text in ("", "help", "HELP"):
        told = private(slack, "bob", text)
        assert "*Waiting for you*: 1" in told
        for each in SUBCOMMANDS:
            assert each.usage.replace("<", "&lt;").replace(">", "&gt;") in told
    told = private(slack, "frank", "")
    assert "Link your account first" in told and "/countersign promote" in told


def test_the_inbox_decides(slack: Slack) -> None:
    promotion = slack.ask()
    Environment.objects.filter(name="production").update(confirm=True)
    told = said(slack, "bob", "inbox")["ephemeral"][0]
    buttons = next(each for each in told["blocks"] if each["type"] == "actions")["elements"]
    assert [each["action_id"] for each in buttons] == ["approve", "reject", "details"]
    assert "confirm" in buttons[0] and "confirm" not in buttons[2]
    carried = json.loads(buttons[0]["value"])
    assert carried == {"p": promotion.pk, "s": promotion.seal}
    assert_snapshot("commands/inbox", {"text": told["text"], "blocks": told["blocks"]})
    pressed = slack.press("bob", "approve", ts=told["ts"])
    assert pressed["status"] == 200 and pressed["ephemeral"] == []
    review = Review.objects.get()
    assert (str(review.person), review.via) == ("Bob Brandt", Via.SLACK)
    assert "*Waiting for you*: nothing" in private(slack, "bob", "inbox")
    assert "*Asked by you*: 1" in private(slack, "alice", "inbox")
    assert '"approve"' not in private(slack, "alice", "inbox")


def test_status_shows_what_the_overview_shows(slack: Slack) -> None:
    world = slack.world
    world.make_live(world.version(1))
    slack.ask(version=world.version(2))
    services.lock(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target("staging").pk,
        reason="A.",
    )
    told = private(slack, "mallory", "status fraud-detector")
    for part in ("v1 live since", "v2 waits for approval", "is locked by Bob Brandt", "newest v2"):
        assert part in told, part
    assert "churn-predictor" not in told
    everything = private(slack, "mallory", "status")
    assert everything.index("fraud-detector") < everything.index("/models/c"), "what moves is first"


def test_what_was_live_and_who_said_so(slack: Slack) -> None:
    world = slack.world
    first = world.make_live(world.version(1))
    second = world.make_live(world.version(2))
    then, later = (datetime(2026, 11, day, 14, 0, tzinfo=UTC) for day in (10, 17))
    Deployment.objects.filter(pk=first.pk).update(finished_at=then)
    Deployment.objects.filter(pk=second.pk).update(finished_at=later)
    told = private(slack, "bob", "live fraud-detector at 2026-11-17 13:59")
    assert "Live at *Tue 17 Nov 2026, 13:59 UTC*" in told
    assert (
        "*v1* since Tue 10 Nov 2026, 14:00 UTC" in told
        and f"promotion {first.promotion_id}>" in told
    )
    assert "asked by Alice Anders, approved by Bob Brandt and Carol Chen" in told
    assert "*staging*: nothing was live" in told
    # Dave's clocks are an hour ahead.
    assert "*v2* since Tue 17 Nov 2026, 15:00 Europe/Amsterdam" in private(
        slack, "dave", "live fraud-detector at 2026-11-17 15:00"
    )
    assert "*v1*" in private(slack, "dave", "live fraud-detector 2026-11-17 14:59")
    assert "*v2*" in private(slack, "bob", "live")
    assert "*production*: nothing was live" in private(slack, "bob", "live at 2026-11-01")


def test_what_is_live_agrees_with_the_history(world: World) -> None:
    """Also for what was adopted, and for what an emergency let through."""
    world.rules(override_team="platform")
    promotion = world.request(world.version(1))
    services.override(
        actor=world.person("dave"),
        via=Via.BROWSER,
        promotion_id=promotion.pk,
        seal=promotion.seal,
        reason="It burns.",
    )
    deployment = world.deploy(Deployment.objects.get(promotion=promotion))
    model = RegisteredModel.objects.get(name="fraud-detector")
    now = timezone.now()
    found = {each.target.environment.name: each for each in live_at(now, [model])}
    assert found["production"].deployment == deployment
    assert found["production"].since == world.target().live_since
    assert found["production"].approved == "the glass broken by Dave Diaz"
    assert found["staging"].deployment is None
    # No environment is forgotten because the configuration names it no longer.
    Target.objects.filter(pk=world.target().pk).update(is_active=False)
    assert [each.deployment for each in live_at(now, [model]) if each.deployment] == [deployment]


def test_answers_fit_with_hundreds_of_models(slack: Slack) -> None:
    """Long names in every script, hundreds of them: each answer is one that Slack takes, in time."""
    target = slack.world.target()
    names = [f"{'多言語モデル' * 12}-{number:03}-<!channel>&" for number in range(400)]
    models = RegisteredModel.objects.bulk_create(
        RegisteredModel(name=name, registry_name=name, repository="acme/x", description="ا" * 300)
        for name in names
    )
    Target.objects.bulk_create(
        Target(model=each, environment=environment, workflow="w", ref="main", policy=target.policy)
        for each in models
        for environment in Environment.objects.all()
    )
    for text in ("status", "live", "live at 2h ago", "inbox", "help", "status zzz"):
        told = private(slack, "bob", text)
        assert "<!channel>" not in told
    assert "more models" in private(slack, "bob", "status")
    slowest = max(each["seconds"] for each in slack.get("deliveries"))
    assert slowest < 2, slowest
    view = dialog(slack, "bob", f'lock "{names[7]}" production')
    assert held(view)["target"] == "production"


def test_slack_that_opens_no_dialog_says_what_to_write(slack: Slack) -> None:
    slack.world.version(2)
    slack.fault("server_error", "views.open")
    told = private(slack, "alice", "promote fraud-detector")
    assert "Slack did not open the dialog" in told
    assert "promote &lt;model&gt; &lt;version&gt; &lt;environment&gt; [reason]" in told
    # Without Slack's word on the person's zone, UTC is used and said.
    slack.fault("server_error", "users.info")
    assert "UTC*" in private(slack, "dave", "live at yesterday 9:00")
