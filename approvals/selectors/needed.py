"""What needs a person: promotions to decide, and deployments that ask something of those who decide."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q, prefetch_related_objects
from django.utils import timezone

from approvals.models import Deployment, Person, Promotion
from approvals.policies import whose_vote_counts
from approvals.selectors.standing import mine_of, with_everything
from approvals.services.cases import case_of, voters_of
from approvals.services.restrictions import may_restrict
from approvals.states import OPEN_DEPLOYMENT, DeploymentStatus, PromotionStatus


def needed_of(person: Person, target_ids: Sequence[int] | None = None) -> dict[int, int]:
    """Promotion id → target id of what needs this person, at these targets or (None) at all of them.

    A constant number of queries over what is pending or under way; who may decide is the policy's to say.
    """
    asks = Q(status=DeploymentStatus.UNCONFIRMED)
    asks |= ~Q(paused="") | ~Q(asks_to_confirm="")
    asking = Deployment.objects.filter(asks, status__in=OPEN_DEPLOYMENT)
    pending = Promotion.objects.filter(status=PromotionStatus.PENDING)
    if target_ids is not None:
        asking = asking.filter(target__in=target_ids)
        pending = pending.filter(target__in=target_ids)
    me = voters_of(person, timezone.now())
    needed = mine_of(pending, me)
    ids = list(asking.values_list("promotion", flat=True))
    if not ids:
        return needed
    prefetch_related_objects([person], "teams")
    for promotion in with_everything(Promotion.objects.filter(pk__in=ids)):
        case = case_of(promotion)
        why_not = whose_vote_counts(case, me[0])
        if why_not is None or (
            why_not == "not_in_team" and case.automatic and may_restrict(person, [promotion.target])
        ):
            needed[promotion.pk] = promotion.target_id
    return needed
