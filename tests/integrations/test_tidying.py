"""What services sent us is remembered for a week, and no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.models import InboundDelivery
from integrations import tidying


@pytest.mark.django_db
def test_only_what_is_old_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "BATCH", 2)
    now = timezone.now()
    for days in (0, 6, 8, 9, 30):
        InboundDelivery.objects.create(
            source="slack", delivery_id=str(days), received_at=now - timedelta(days=days)
        )
    assert tidying.forget_deliveries(now) == 3
    kept = InboundDelivery.objects.values_list("delivery_id", flat=True)
    assert set(kept) == {"0", "6"}
    assert tidying.forget_deliveries(now) == 0
