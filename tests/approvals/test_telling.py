"""Who is told personally, of what, and how often. What mail makes of it is tests/integrations/test_mail*.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import services
from approvals.gates import MetricLimit
from approvals.models import Deployment, Effect, Promotion
from approvals.models.outbox import EffectKind
from approvals.policies import Requirement
from approvals.rollouts import PlanStep
from approvals.states import Occasion, Verdict, Via
from tests.world import World

Told = list[tuple[str, str, list[str]]]


def told(world: World) -> Told:
    """(occasion, the subject's first words, to whom), in order; then forgets it. Direct messages go beside it."""
    rows = Effect.objects.exclude(payload__occasion=None).order_by("id")
    names = {each.pk: each.username for each in type(world.person("alice")).objects.all()}
    by_kind: dict[str, Told] = {EffectKind.MAIL: [], EffectKind.TELL: []}
    for each in rows:
        readers = sorted(names[pk] for pk in each.payload["people"])
        word = each.payload["subject"].partition(":")[0]
        by_kind[each.kind].append((each.payload["occasion"], word, readers))
    assert by_kind[EffectKind.MAIL] == by_kind[EffectKind.TELL]
    rows.delete()
    return by_kind[EffectKind.MAIL]


def asked(world: World) -> Promotion:
    """A request that bob has approved, with the request's own news forgotten."""
    promotion = world.request()
    world.review(promotion, "bob")
    told(world)
    return promotion


def granted(world: World) -> Deployment:
    """The same, approved by carol as well."""
    promotion = asked(world)
    world.review(promotion, "carol")
    return Deployment.objects.get(promotion=promotion)


def test_a_request_is_told_once_to_those_who_can_act(world: World) -> None:
    world.rules(promote=(Requirement(("ml-leads",)), Requirement(("ml-engineers", "risk"))))
    promotion = world.request()
    # alice is one of the engineers and asks herself; mallory is in no team.
    assert told(world) == [(Occasion.REQUEST, "Decide", ["bob", "carol"])]
    world.seal(promotion)
    assert told(world) == []


def test_delegates_are_told_as_well(world: World) -> None:
    services.delegate(
        actor=world.person("bob"),
        via=Via.BROWSER,
        delegate_id=world.person("mallory").pk,
        until=timezone.now() + timedelta(days=1),
    )
    world.request()
    assert told(world) == [(Occasion.REQUEST, "Decide", ["bob", "carol", "mallory"])]


def test_where_nobody_is_asked_nobody_is_told(world: World) -> None:
    world.rules(promote=(), automatic=True, gates=(MetricLimit("accuracy", "0.1"),))
    promotion = world.request()
    assert told(world) == []
    world.deploy(Deployment.objects.get(promotion=promotion))
    assert told(world) == [(Occasion.OUTCOME, "Live", ["alice"])]


def test_those_whose_review_was_voided_must_look_again(world: World) -> None:
    promotion = asked(world)
    for accuracy in ("0.5", "0.6", "0.5"):
        promotion.refresh_from_db()
        world.seal(promotion, metrics={"accuracy": accuracy})
        assert told(world) in ([(Occasion.REQUEST, "Decide again", ["bob"])], [])
        promotion.refresh_from_db()
        world.review(promotion, "bob")
    promotion.refresh_from_db()
    world.seal(promotion, metrics={"accuracy": "0.7"})
    assert told(world) == [(Occasion.REQUEST, "Decide again", ["bob"])]
    # Nobody has decided since: there is nothing to look at again.
    promotion.refresh_from_db()
    world.seal(promotion, metrics={"accuracy": "0.8"})
    assert told(world) == []


def test_reminders_and_escalation(world: World) -> None:
    world.rules(remind_after=3600, escalate_after=7200, escalate_to="platform")
    asked(world)
    now = timezone.now()
    for _ in range(2):  # two beats
        services.remind_due(now=now + timedelta(hours=1, minutes=1))
    assert told(world) == [(Occasion.REMINDER, "Still waits", ["carol"])]
    services.remind_due(now=now + timedelta(hours=2, minutes=2))
    assert told(world) == [
        (Occasion.REMINDER, "Still waits", ["dave"]),
        (Occasion.REMINDER, "Still waits", ["carol"]),
    ]


def rejected(world: World) -> None:
    world.review(asked(world), "carol", Verdict.REJECT)


def expired(world: World) -> None:
    promotion = asked(world)
    for _ in range(2):
        services.close_overdue(now=promotion.expires_at)


def cancelled_by_the_requester(world: World) -> None:
    services.cancel(
        actor=world.person("alice"), via=Via.BROWSER, promotion_id=asked(world).pk, reason="No."
    )


def cancelled_by_another(world: World) -> None:
    services.cancel(actor=world.person("carol"), via=Via.BROWSER, promotion_id=asked(world).pk)


def superseded(world: World) -> None:
    asked(world)
    world.request(world.version(3), actor="dave")
    Effect.objects.filter(payload__occasion=Occasion.REQUEST).delete()


def lapsed(world: World) -> None:
    deployment = granted(world)
    now = Promotion.objects.get(pk=deployment.promotion_id).grant_lapses_at
    assert now is not None
    services.close_overdue(now=now)
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version), now=now
    )


def called_off(world: World) -> None:
    deployment = granted(world)
    services.call_off(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=deployment.pk, reason="Wait."
    )


def live(world: World) -> None:
    deployment = world.deploy(granted(world))
    services.record_run(facts=world.run_facts(deployment))  # once more


def failed(world: World) -> None:
    world.step(granted(world), "failure")


def gone_back(world: World) -> None:
    world.make_live(world.version(1))
    world.strategy(PlanStep(10), PlanStep(100))
    deployment = world.step(granted(world))
    deployment = world.step(deployment, "failure")
    assert deployment.step is not None and deployment.step.goes_back
    assert told(world) == [], "not yet: it is on its way back"
    world.step(deployment)


def broken_glass(world: World) -> None:
    promotion = world.request()
    told(world)
    services.override(
        actor=world.person("dave"),
        via=Via.BROWSER,
        promotion_id=promotion.pk,
        seal=promotion.seal,
        reason="The old one is down.",
    )
    world.deploy(Deployment.objects.get(promotion=promotion))


@pytest.mark.parametrize(
    ("end", "word", "readers"),
    [
        (rejected, "Rejected", "alice bob"),
        (expired, "Expired", "alice bob"),
        (cancelled_by_the_requester, "Cancelled", "bob"),
        (cancelled_by_another, "Cancelled", "alice bob"),
        (superseded, "Superseded", "alice bob"),
        (lapsed, "Cancelled", "alice bob carol"),
        (called_off, "Cancelled", "alice carol"),
        (live, "Live", "alice bob carol"),
        (failed, "Failed", "alice bob carol dave"),
        (gone_back, "Failed", "alice bob carol dave"),
        (broken_glass, "Live", "alice dave"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_an_outcome_is_told_once_to_those_it_concerns(
    world: World, end: Callable[[World], None], word: str, readers: str
) -> None:
    """The one who asked and those who decided, but not who did it; where it went wrong, who decides there too."""
    end(world)
    assert told(world) == [(Occasion.OUTCOME, word, readers.split())]


def test_what_is_unconfirmed_and_then_given_up_are_two_pieces_of_news(world: World) -> None:
    deployment = granted(world)
    services.begin_dispatch(
        deployment_id=deployment.pk, observed=world.observed(deployment.version)
    )
    for _ in range(2):
        services.record_unconfirmed(deployment_id=deployment.pk, detail="Nobody knows.")
    services.give_up(
        actor=world.person("bob"), via=Via.BROWSER, deployment_id=deployment.pk, reason="No run."
    )
    assert [word for _, word, _ in told(world)] == ["Unconfirmed", "Cancelled"]
