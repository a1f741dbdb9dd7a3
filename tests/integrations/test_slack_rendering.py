"""Every message in every state and every dialog is one that Slack takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from approvals import services
from approvals.compare import MetricRow
from approvals.gates import MetricLimit, as_data
from approvals.models import (
    Deployment,
    Environment,
    Membership,
    ModelVersion,
    Person,
    Promotion,
    Step,
    Team,
)
from approvals.selectors.catalogue import RollbackChoice, stays
from approvals.states import PromotionStatus, Via
from integrations.models import SlackIdentity
from integrations.slack import modals
from integrations.slack.messages import STATES, render
from integrations.slack.text import inert, inline, link, mrkdwn, names, quoted
from tests import blockkit
from tests.integrations.message_scenes import crowd
from tests.world import World

LONG = "<&>" * 660


def check(promotion: Promotion) -> dict[str, Any]:
    fresh = Promotion.objects.get(pk=promotion.pk)
    content = render(fresh)
    blockkit.validate_message(content)
    return content


@pytest.mark.parametrize("state", STATES, ids=lambda state: "-".join(filter(None, state)))
def test_every_state(world: World, state: tuple[str, str | None]) -> None:
    """With everything as long as it may be, and no, one and many metrics."""
    model = world.target().model
    world.version(1)
    version = world.version(2)
    model.metrics = []
    model.save()
    promotion = world.request(version, reason=LONG)
    status, delivery = state
    now = timezone.now()
    promotion.status = status
    promotion.decided_at = None if status == PromotionStatus.PENDING else now
    promotion.decision_reason = "" if status == PromotionStatus.PENDING else LONG
    promotion.problem = LONG
    promotion.save()
    if delivery is not None:
        deployment = Deployment.objects.create(
            promotion=promotion,
            target=promotion.target,
            version=version,
            previous=world.version(1),
            status=delivery,
            detail=LONG,
            created_at=now,
        )
        deployment.step = Step.objects.create(
            deployment=deployment,
            ordinal=1,
            index=0,
            token=promotion.token,
            dispatches=1,
            run_url="https://github.example/" + "x" * 400,
        )
        deployment.save()
        promotion.target.live_deployment = deployment
        promotion.target.save()
    for metrics in (0, 1, 60):
        promotion.facts["metrics"] = {f"metric<{i:02}>{'x' * 90}": "0.9" for i in range(metrics)}
        promotion.version.metrics = promotion.facts["metrics"]
        promotion.version.save()
        promotion.save()
        content = check(promotion)
        text = str(content)
        assert STATES[state][2] in content["text"]
        assert "<&>" not in text.replace(promotion.seal, "")
        if delivery is not None:
            assert "|Open the workflow run on GitHub>" in text, "long details push nothing out"
        assert ("and 52 more under Details" in text) == (metrics == 60)
        for name in ("bob", "mallory"):
            blockkit.validate_view(
                modals.details(Promotion.objects.get(pk=promotion.pk), world.person(name))
            )


def test_gates_in_the_message_and_the_dialog(world: World) -> None:
    target = world.target()
    rows = [MetricLimit("accuracy", "0.5"), MetricLimit("<!channel>" * 20, "1")]
    target.policy["gates"] = [as_data(row) for row in rows * 4]
    target.save()
    promotion = world.request(world.version(2))
    text = str(check(promotion))
    assert "? *Unknown*: &lt;!channel&gt;" in text
    assert "<!channel>" not in text
    assert "✓ 4 gates pass" in text and "accuracy is 0.92" not in text, "what passes is counted"
    assert "*Approving is blocked now* by the 4 things named above" in text
    view = modals.details(promotion, world.person("bob"))
    blockkit.validate_view(view)
    assert "Passed: accuracy" in str(view)


def many(team: str, count: int, *, linked: bool) -> list[Person]:
    """So many members with names as long as the database takes."""
    people = [
        Person.objects.create(
            username=f"{team}{i}", first_name="&" * 150, last_name=f"<!channel>{i}" + "&" * 100
        )
        for i in range(count)
    ]
    for i, person in enumerate(people):
        Membership.objects.create(team=Team.objects.get(slug=team), person=person)
        if linked:
            SlackIdentity.objects.create(
                team_id="T0ACME", user_id=f"U{team}{i}", person=person, linked_at=timezone.now()
            )
    return people


def test_many_approvers_with_long_names(world: World) -> None:
    many("risk", 60, linked=True)
    leads = many("ml-leads", 60, linked=False)
    target = world.target()
    target.policy["promote"] = [
        {"teams": ["ml-leads"], "count": 30},
        {"teams": ["risk"], "count": 30},
        *({"teams": ["risk", "ml-leads"], "count": 1} for _ in range(20)),
    ]
    target.save()
    promotion = world.request()
    for person in leads[:20]:
        services.review(
            actor=person,
            via=Via.BROWSER,
            promotion_id=promotion.pk,
            verdict="approve",
            seal=promotion.seal,
        )
    text = str(check(promotion))
    assert "and 10 more approved; 10 more needed" in text
    assert "30 more needed: <@U" in text and " or 51 more" in text
    assert "<!channel>" not in text
    blockkit.validate_view(modals.details(promotion, world.person("bob")))


def test_the_dialogs(world: World) -> None:
    version = world.version(2, datasets=[{"name": LONG, "digest": LONG, "context": LONG}] * 40)
    version.run_name = version.trained_by = version.git_branch = "<&>" * 83
    version.save()
    world.make_live(world.version(1))
    promotion = world.request(version, reason=LONG)
    blockkit.validate_view(modals.reject(promotion, promotion.seal))
    blockkit.validate_view(modals.details(promotion, world.person("carol")))
    target = world.target()
    model = target.model
    [stay] = stays(model)
    rows = [MetricRow(LONG, "0.9", "0.8", "+0.1", "better")] * 60
    choices = [
        RollbackChoice(ModelVersion(pk=n, model=model, number=n), stay, rows, "", [stay] * 500)
        for n in range(1, 104)
    ]
    view = modals.rollback(target, choices)
    blockkit.validate_view(view)
    assert "0.8 → 0.9" in view["blocks"][1]["text"]["text"]
    assert "since then v1." in view["blocks"][1]["text"]["text"]
    assert len(view["blocks"][4]["element"]["options"]) == 100


def test_a_rollback_names_where_it_goes(world: World) -> None:
    first = world.version(1)
    world.make_live(first)
    world.make_live(world.version(2))
    back = services.request_rollback(
        actor=world.person("dave"),
        via=Via.SLACK,
        target_id=world.target().pk,
        version_id=first.pk,
        reason="False alarms.",
    )
    content = check(back)
    assert content["text"].startswith("Roll production back to fraud-detector v1: ")
    assert "gathered" in str(content) and "'action_id': 'approve'" not in str(content), (
        "nobody can decide before the facts are sealed"
    )


def test_inert_is_cut_as_slack_counts() -> None:
    assert inert("a<b>&c") == "a&lt;b&gt;&amp;c"
    for limit in range(5, 40):
        cut = inert("&<>" * 20, limit)
        assert len(cut) <= limit and cut.endswith("…")
        assert "&" not in cut.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert inert("x" * 600) == "x" * 600 and len(inert("x" * 601)) == 600


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (
            "*a* _b_ ~c~ `d` __init__",
            "\u2217a\u2217 \u02cdb\u02cd \u223cc\u223c \u02cbd\u02cb \u02cd\u02cdinit\u02cd\u02cd",
        ),
        ("```\nx\n```", "\u02cb\u02cb\u02cb\nx\n\u02cb\u02cb\u02cb"),
        # What cannot format stays as it is, to be copied.
        ("f1_macro = 2 * 3 at 12:30:45", "f1_macro = 2 * 3 at 12:30:45"),
        (":white_check_mark: :100: :+1:", "\u2236white_check_mark: \u2236100: \u2236+1:"),
        ("> quoted\n>> twice", "\u203a quoted\n\u203a&gt; twice"),
        ("<!channel> <@U0BOB> & @here", "&lt;!channel&gt; &lt;@U0BOB&gt; &amp; @here"),
        ("a\u202eb\u2066c\u200f", "\u2068abc\u200f\u2069"),
        ("\u05e9\u05dc\u05d5\u05dd v1\nlatin", "\u2068\u05e9\u05dc\u05d5\u05dd v1\u2069\nlatin"),
        ("nul\x00 bell\x07\ttab\x85line\u2028line", "nul bell tab\nline\nline"),
        ("", ""),
    ],
)
def test_inert(written: str, shown: str) -> None:
    assert inert(written) == shown


@given(st.text(max_size=300), st.integers(5, 120))
def test_whatever_is_written_is_inert_and_fits(written: str, limit: int) -> None:
    shown = inert(written, limit)
    assert len(shown) <= limit
    assert "<" not in shown and ">" not in shown and "`" not in shown
    assert "&" not in shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert not re.search(r"(?<!\w)[*_~](?=[^\s*_~])[^\n]*?(?<=[^\s*_~])[*_~](?!\w)", shown)
    for line in shown.split("\n"):
        assert line.count("\u2068") == line.count("\u2069")
    assert "\n" not in inline(written, limit)


def test_the_other_texts() -> None:
    assert quoted("a\n\n\nb\u2028c") == ">a\n>b\n>c" and quoted("") == ">"
    assert quoted("a\n" * 50).count("\n") == 11 and quoted("a\n" * 50).endswith(">…")
    assert link("http://x/", "a|b>") == "<http://x/|a¦b&gt;>"
    assert names(["a", "b"]) == "a and b"
    assert names([str(i) for i in range(12)], "or").endswith("9 or 2 more")
    long = "\n".join(f"<@U{i:04}>" for i in range(1000))
    cut = mrkdwn(long)["text"]
    assert len(cut) <= 3000 and cut.endswith(">\n…") and cut.startswith("<@U0000>")


def test_after_the_decision_nobody_is_mentioned(world: World) -> None:
    promotion = world.request()
    assert "<@U0BOB>" in str(check(promotion)) and "<@U0CAROL>" in str(check(promotion))
    world.review(promotion, "bob")
    assert "<@U0BOB>" not in str(check(promotion)) and "<@U0CAROL>" in str(check(promotion))
    SlackIdentity.objects.filter(person=world.person("carol")).update(standing="deactivated")
    assert "<@" not in str(check(promotion)) and "Carol Chen" in str(check(promotion))
    SlackIdentity.objects.update(standing="member")
    world.review(promotion, "carol", "reject")
    assert "<@" not in str(check(promotion))


def test_a_very_long_model_name_hides_nothing(world: World) -> None:
    promotion = world.request(reason="x" * 2000)
    model = promotion.target.model
    model.name = "m" * 255
    model.save()
    content = check(promotion)
    title = content["blocks"][0]["text"]["text"]
    assert len(title) == 150 and title.endswith("m… v2 · production · Promotion")


def test_as_many_queries_for_forty_approvers_as_for_two(world: World) -> None:
    """Nor do they grow with the promotions and events that there are."""
    with_two = _queries(world.request())
    crowd(world, 40)
    for number in range(3, 9):
        promotion = world.request(world.version(number))
    world.review(promotion, "bob")
    world.review(world.seal(promotion), "carol", "reject")
    again = world.request(world.version(9))
    assert _queries(again) == with_two
    assert with_two <= 25, "a message is rendered at every event"


def _queries(promotion: Promotion) -> int:
    fresh = Promotion.objects.select_related(
        "target__model", "target__environment", "version__model", "replaces", "requester"
    ).get(pk=promotion.pk)
    with CaptureQueriesContext(connection) as found:
        render(fresh)
    return len(found)


@pytest.mark.parametrize("confirms", [False, True])
def test_slack_asks_once_more_where_the_environment_is_so_marked(
    world: World, confirms: bool
) -> None:
    Environment.objects.filter(name="production").update(confirm=confirms)
    world.make_live(world.version(1))
    live = world.make_live(world.version(2)).promotion
    pending = world.request(world.version(3))
    for promotion, action in ((pending, "approve"), (live, "rollback")):
        buttons = {each["action_id"]: each for each in check(promotion)["blocks"][-1]["elements"]}
        assert ("confirm" in buttons.pop(action)) == confirms
        assert not any("confirm" in each for each in buttons.values())
