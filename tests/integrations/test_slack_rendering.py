"""Every message in every state and every dialog is one that Slack takes."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.compare import MetricRow
from approvals.gates import MetricLimit, as_data
from approvals.models import Deployment, Membership, ModelVersion, Person, Promotion, Step, Team
from approvals.selectors.catalogue import RollbackChoice, stays
from approvals.states import PromotionStatus, Via
from integrations.models import SlackIdentity
from integrations.slack import modals
from integrations.slack.messages import STATES, render
from integrations.slack.text import inert, link, mrkdwn, names, quoted
from tests import blockkit
from tests.world import World

LONG = "<&>" * 660


def check(promotion: Promotion) -> dict[str, Any]:
    fresh = Promotion.objects.get(pk=promotion.pk)
    content = render(fresh)
    blockkit.validate_message(content)
    return content


@pytest.mark.parametrize("state", STATES, ids=lambda state: "-".join(filter(None, state)))
@pytest.mark.parametrize("metrics", [0, 1, 60])
def test_every_state(world: World, state: tuple[str, str | None], metrics: int) -> None:
    model = world.target().model
    world.version(1)
    version = world.version(2)
    model.metrics = []
    model.save()
    version.metrics = {f"metric<{i:02}>{'x' * 90}": "0.9" for i in range(metrics)}
    version.save()
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
            run_url="https://github.example/" + "x" * 400,
        )
        deployment.save()
        promotion.target.live_deployment = deployment
        promotion.target.save()
    content = check(promotion)
    text = str(content)
    assert STATES[state][2] in content["text"]
    assert "<&>" not in text.replace(promotion.seal, "")
    if delivery is not None:
        assert "|Open the workflow run on GitHub>" in text, "long details push nothing out"
    if metrics == 60:
        assert "and 52 more metrics under Details" in text
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
    assert ":white_check_mark: Passed: accuracy is 0.92; at least 0.5 is required." in text
    assert ":grey_question: Unknown: &lt;!channel&gt;" in text
    assert "<!channel>" not in text
    assert text.index("Unknown:") < text.index("Passed:"), "what blocks is never cut off"
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
    assert inert("a\u202eb\u2066c\u200f") == "abc\u200f"


def test_the_other_texts() -> None:
    assert quoted("a\nb\u2028c") == ">a\n>b\n>c" and quoted("") == ">"
    assert link("http://x/", "a|b>") == "<http://x/|a¦b&gt;>"
    assert names(["a", "b"]) == "a and b"
    assert names([str(i) for i in range(12)], "or").endswith("9 or 2 more")
    long = "\n".join(f"<@U{i:04}>" for i in range(1000))
    cut = mrkdwn(long)["text"]
    assert len(cut) <= 3000 and cut.endswith(">\n…") and cut.startswith("<@U0000>")
