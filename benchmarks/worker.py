"""The Celery application of ``benchmarks.outbox``: the product's, but without MLflow, whose time is not what is
measured (facts come from the database, no alias is written); and one task that does nothing else."""

from __future__ import annotations

import time

import django
import redis
from django.conf import settings

from config.celery import app

django.setup()

from approvals.models import ModelVersion, Target  # noqa: E402
from approvals.services import ObservedFacts  # noqa: E402
from integrations import effects  # noqa: E402
from integrations.github import dispatch  # noqa: E402
from tests.world import World  # noqa: E402


def observe(target: Target, number: int) -> ObservedFacts:
    """As they were sealed; the workflow file is asked of GitHub, as always."""
    dispatch.workflow_digest(target.model.repository, target.workflow, target.ref)
    version = ModelVersion.objects.get(model=target.model, number=number, deleted_at=None)
    return World.observed(World.__new__(World), version)


effects.observe = observe
effects.HANDLERS["set_alias"] = lambda _effect: None


@app.task
def bare() -> None:
    """Say when it ran."""
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.rpush("benchmark-bare", str(time.time()))


__all__ = ["app"]
