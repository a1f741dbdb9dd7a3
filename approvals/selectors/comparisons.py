"""What lies between the commits of two versions, as GitHub told."""

from __future__ import annotations

from approvals.models import CodeComparison, ModelVersion


def comparison_of(base: ModelVersion | None, head: ModelVersion) -> CodeComparison | None:
    """The comparison of the two versions' commits; None where it was not read (yet)."""
    if base is None or not base.git_commit or not head.git_commit:
        return None
    return CodeComparison.objects.filter(
        repository=head.model.repository, base=base.git_commit, head=head.git_commit
    ).first()
