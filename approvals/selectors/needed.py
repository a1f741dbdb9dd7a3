"""What needs a person: promotions to decide, and deployments that ask something of those who decide."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q, prefetch_related_objects
from django.utils import timezone

from approvals.models import Person, Promotion
from approvals.policies import whose_vote_counts
from approvals.selectors.standing import standing_of, with_everything
from approvals.services.cases import case_of, voters_of
from approvals.services.restrictions import may_restrict
from approvals.states import OPEN_DEPLOYMENT, DeploymentStatus, PromotionStatus


def needed_of(person: Person, target_ids: Sequence[int] | None = None) -> dict[int, int]:
    """Promotion id → target id of what needs this person, at these targets or (None) at all of them.

    A constant number of queries over what is pending or under way; who may decide is the policy's to say.
    """
    asks = Q(deployment__status=DeploymentStatus.UNCONFIRMED)
    asks |= ~Q(deployment__paused="") | ~Q(deployment__asks_to_confirm="")
    rows = Promotion.objects.filter(
        Q(status=PromotionStatus.PENDING) | Q(deployment__status__in=OPEN_DEPLOYMENT) & asks
    )
    if target_ids is not None:
        rows = rows.filter(target__in=target_ids)
    found = list(with_everything(rows))
    if not found:
        return {}
    me = voters_of(person, timezone.now())
    prefetch_related_objects([person], "teams")
    needed = {}
    for promotion in found:
        if promotion.is_pending:
            mine = standing_of(promotion, me).may_act
        else:
            case = case_of(promotion)
            why_not = whose_vote_counts(case, me[0])
            mine = why_not is None or (
                why_not == "not_in_team"
                and case.automatic
                and may_restrict(person, [promotion.target])
            )
        if mine:
            needed[promotion.pk] = promotion.target_id
    return needed
