"""The readings that are made only to be compared with what should be live: serving layers and artifacts."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from approvals import services
from approvals.models import ModelVersion, Target
from integrations.errors import Rejected
from integrations.models import Poll

# What one reading has shown is looked at again soon, not after the usual hour.
AGAIN_SECONDS = 60.0


def look_at_serving(poll: Poll) -> float:
    """Ask the serving layer of a target which version it serves. Raises Unavailable, Rejected."""
    from integrations.serving.health import read_served

    target = Target.objects.get(pk=int(poll.key))
    read_at = timezone.now()
    number = read_served(target.health_url)
    services.compare_served(target_id=target.pk, number=number, read_at=read_at)
    return settings.SERVING_POLL_SECONDS


def look_at_artifacts(poll: Poll) -> float:
    """Hash a live version's artifacts again. Raises Unavailable."""
    from integrations.mlflow.candidate import read_candidate

    version = ModelVersion.objects.select_related("model").get(pk=int(poll.key))
    read_at, digest, problem = timezone.now(), "", ""
    try:
        candidate = read_candidate(version.model.registry_name, version.number)
        digest = candidate.version["artifact_digest"]
    except Rejected as error:  # MLflow answered, and has them no longer
        problem = str(error)
    again = services.compare_artifacts(
        version_id=version.pk, digest=digest, problem=problem, read_at=read_at
    )
    every = settings.ARTIFACT_POLL_SECONDS
    return min(every, AGAIN_SECONDS) if again else every
