"""What the bypass matrix tries: every refusal, with a promotion on which the verb refuses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from approvals import services
from approvals.models import (
    Membership,
    Person,
    Promotion,
    Team,
)
from approvals.states import Via
from integrations.models import SlackIdentity
from tests.world import SLACK_TEAM, World

APPROVE, OVERRIDE, WITHDRAW = "approve", "override", "withdraw"


@dataclass(frozen=True)
class Attempt:
    """What somebody tries: ``code`` is why the verb refuses it, ``says`` words of its sentence."""

    promotion: Promotion
    who: str
    code: str
    says: str
    seal: str
    verb: str = APPROVE
    comment: str = ""
    # What a worker would read of the version now.
    observed: dict[str, Any] = field(default_factory=dict)


def attempt(promotion: Promotion, who: str, code: str, says: str, **more: Any) -> Attempt:
    now = Promotion.objects.get(pk=promotion.pk)
    return Attempt(now, who, code, says, more.pop("seal", now.seal), **more)


# -- the refusals --------------------------------------------------------------------------------------


def asked(world: World, **policy: Any) -> Promotion:
    """A sealed request under this policy; carol has approved, so that one more would settle it."""
    target = world.target()
    target.policy |= {"override_team": "platform", **policy}
    target.save()
    promotion = world.request()
    if not {"checklist", "comment_required", "automatic", "gates"} & policy.keys():
        world.review(promotion, "carol")
    return promotion


def by_requester(world: World) -> Attempt:
    Membership.objects.create(team=Team.objects.get(slug="ml-leads"), person=world.person("alice"))
    return attempt(asked(world), "alice", "requester", "because you asked for it")


def by_stranger(world: World) -> Attempt:
    return attempt(asked(world), "mallory", "not_in_team", "you are in none of the teams")


def by_machine(world: World) -> Attempt:
    machine = world.person("ci")
    Membership.objects.create(team=Team.objects.get(slug="ml-leads"), person=machine)
    SlackIdentity.objects.create(
        team_id=SLACK_TEAM, user_id="U0CI", person=machine, linked_at=timezone.now()
    )
    return attempt(asked(world), "ci", "machine", "this is a machine account")


def by_inactive(world: World) -> Attempt:
    promotion = asked(world)
    Person.objects.filter(username="bob").update(is_active=False)
    return attempt(promotion, "bob", "inactive", "your account is not active")


def already_decided(world: World) -> Attempt:
    promotion = asked(world)
    services.cancel(actor=world.person("alice"), via=Via.BROWSER, promotion_id=promotion.pk)
    return attempt(promotion, "bob", "already_decided", "It is too late: this was cancelled")


def expired(world: World) -> Attempt:
    promotion = asked(world)
    Promotion.objects.filter(pk=promotion.pk).update(expires_at=timezone.now())
    return attempt(promotion, "bob", "expired", "It is too late: this expired")


def stale_seal(world: World) -> Attempt:
    promotion = asked(world)
    seen, moved = promotion.seal, {"metrics": {"accuracy": "0.871", "auc": "0.95"}}
    world.review(world.seal(promotion, metrics=dict(moved["metrics"])), "carol")
    says = "accuracy was 0.92 and is 0.871 now"
    return attempt(promotion, "bob", "stale", says, seal=seen, observed=moved)


def unsealed(world: World) -> Attempt:
    promotion = services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version().pk,
        reason="Because.",
    )
    return attempt(promotion, "bob", "not_sealed", "still being gathered")


GATE = {"kind": "metric", "metric": "auc", "at_least": "0.99", "at_most": ""}


def gate_fails(world: World) -> Attempt:
    return attempt(asked(world, gates=[GATE]), "bob", "blocked", "at least 0.99 is required")


def closed(world: World, verb: Callable[..., Any], name: str, says: str) -> Attempt:
    promotion = asked(world)
    subject = {
        "target_id": promotion.target_id,
        "version_id": promotion.version_id,
        "environment_id": promotion.target.environment_id,
    }
    verb(actor=world.person("carol"), via=Via.BROWSER, reason="Drift.", **{name: subject[name]})
    return attempt(promotion, "bob", "blocked", says)


def checklist_not_ticked(world: World) -> Attempt:
    promotion = asked(world, checklist=["I read the report."])
    return attempt(promotion, "bob", "checklist", "Tick what you have checked first")


def comment_missing(world: World) -> Attempt:
    promotion = asked(world, comment_required=True)
    return attempt(promotion, "bob", "reason_missing", "the policy asks for a comment")


def twice(world: World) -> Attempt:
    return attempt(asked(world), "carol", "already_reviewed", "one person counts once")


def for_the_requester(world: World) -> Attempt:
    """alice is a lead too and has handed her approvals to mallory, who would decide on alice's own request."""
    Membership.objects.create(team=Team.objects.get(slug="ml-leads"), person=world.person("alice"))
    services.delegate(
        actor=world.person("alice"),
        via=Via.BROWSER,
        delegate_id=world.person("mallory").pk,
        until=timezone.now() + timedelta(days=1),
    )
    return attempt(asked(world), "mallory", "not_in_team", "you are in none of the teams")


def override_by_stranger(world: World) -> Attempt:
    says = "breaking the glass is for members of platform"
    promotion = asked(world)
    return attempt(
        promotion, "bob", "may_not_override", says, verb=OVERRIDE, comment="It cannot wait."
    )


def override_without_reason(world: World) -> Attempt:
    says = "Say why it cannot wait"
    return attempt(asked(world), "dave", "reason_missing", says, verb=OVERRIDE, comment=" \n ")


def automatic_with_failing_gate(world: World) -> Attempt:
    promotion = asked(world, automatic=True, promote=[], gates=[GATE])
    return attempt(promotion, "bob", "not_in_team", "you are in none of the teams")


def withdraw_of_another(world: World) -> Attempt:
    says = "You have no review here that counts."
    return attempt(asked(world), "bob", "nothing_to_withdraw", says, verb=WITHDRAW)


REFUSALS: dict[str, Callable[[World], Attempt]] = {
    "the requester approves": by_requester,
    "a stranger approves": by_stranger,
    "a machine approves": by_machine,
    "the inactive approve": by_inactive,
    "it is decided": already_decided,
    "it expired": expired,
    "the seal is stale": stale_seal,
    "it is not sealed": unsealed,
    "a gate fails": gate_fails,
    "the target is locked": lambda world: closed(world, services.lock, "target_id", "is locked"),
    "the version is quarantined": lambda world: closed(
        world, services.quarantine, "version_id", "is quarantined"
    ),
    "the environment is frozen": lambda world: closed(
        world, services.freeze, "environment_id", "is frozen"
    ),
    "the checklist is not ticked": checklist_not_ticked,
    "the comment is missing": comment_missing,
    "the same person approves twice": twice,
    "a delegate approves for the requester": for_the_requester,
    "who may not breaks the glass": override_by_stranger,
    "the glass is broken without a reason": override_without_reason,
    "automatic, and a gate fails": automatic_with_failing_gate,
    "another's review is withdrawn": withdraw_of_another,
}


def welcome(world: World) -> Attempt:
    """Nothing is wrong with this one: it shows that a door is open at all."""
    return attempt(asked(world), "bob", "", "")
