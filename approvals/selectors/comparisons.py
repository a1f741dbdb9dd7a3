"""What lies between the commits of two versions, as far as it was read."""

from __future__ import annotations

from approvals.models import CodeComparison, ModelVersion


def comparison_of(base: ModelVersion | None, head: ModelVersion) -> CodeComparison | None:
    """The comparison of what is live with a candidate; None where a commit is not known or nobody asked for it.

    One that is still to be read has neither ``status`` nor ``problem``.
    """
    if base is None or not base.git_commit or not head.git_commit:
        return None
    between = {
        "repository": head.model.repository,
        "base": base.git_commit,
        "head": head.git_commit,
    }
    if base.git_commit == head.git_commit:
        return CodeComparison(status="identical", **between)
    return CodeComparison.objects.filter(**between).first()
