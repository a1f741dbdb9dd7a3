"""What lies between the commits of two versions."""

from __future__ import annotations

from approvals.models import CodeComparison, ModelVersion


def comparison_of(base: ModelVersion | None, head: ModelVersion) -> CodeComparison | None:
    """What GitHub said of the two commits; None where it was not asked, or a commit is not known."""
    if base is None or not base.git_commit or not head.git_commit:
        return None
    return CodeComparison.objects.filter(
        repository=head.model.repository, base=base.git_commit, head=head.git_commit
    ).first()
