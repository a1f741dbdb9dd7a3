"""The commits between two versions: GitHub's comparison, bounded to what a page shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from approvals.services.comparisons import CodeRead
from approvals.wording import one_line
from integrations.errors import Rejected
from integrations.github.client import read

# What is kept. GitHub gives commits oldest first, in pages, and at most 300 files, with the first page.
MOST_COMMITS = 50
MOST_FILES = 100
PAGE = 100


def read_comparison(repository: str, base: str, head: str) -> CodeRead:
    """What leads from one commit to another. Raises Unavailable, Rejected (a commit or a common ancestor is not
    there, or the repository may not be read)."""
    told = _page(repository, base, head, 1)
    status = str(told.get("status") or "")
    if status not in {"ahead", "behind", "diverged", "identical"}:
        raise Rejected(f"GitHub calls the comparison {status!r}, which is not known.")
    ahead, behind = int(told.get("ahead_by") or 0), int(told.get("behind_by") or 0)
    if status == "behind":
        # It goes back: what matters is what it takes back, which only the other direction names.
        told = _page(repository, head, base, 1)
        commits = _newest(told, repository, head, base)
    else:
        commits = _newest(told, repository, base, head)
    files = [each for each in told.get("files") or [] if isinstance(each, Mapping)]
    return CodeRead(
        status=status,
        ahead_by=ahead,
        behind_by=behind,
        commits=[_commit(each) for each in commits],
        files=[_file(each) for each in files[:MOST_FILES]],
        file_count=len(files),
        additions=sum(int(each.get("additions") or 0) for each in files),
        deletions=sum(int(each.get("deletions") or 0) for each in files),
    )


def in_words(error: Rejected) -> str:
    """Why there is nothing to compare, for a person."""
    if "ancestor" in str(error).lower():
        return "The two commits have no common history, so there is nothing to compare."
    if error.code in {404, 422}:
        return (
            "GitHub does not know one of the two commits in this repository: it was never pushed there, or was "
            "removed since. Where that cannot be, check that Countersign may read the repository's contents."
        )
    return str(error)


def _page(repository: str, base: str, head: str, number: int) -> dict[str, Any]:
    between = f"{quote(base, safe='')}...{quote(head, safe='')}"
    page = f"&page={number}" if number > 1 else ""
    told = read(f"/repos/{repository}/compare/{between}?per_page={PAGE}{page}").data
    return told if isinstance(told, dict) else {}


def _newest(
    first: Mapping[str, Any], repository: str, base: str, head: str
) -> list[Mapping[str, Any]]:
    """The newest commits, newest first: from the last page, and the one before where that is nearly empty."""
    commits = list(first.get("commits") or [])
    last = -(-int(first.get("total_commits") or 0) // PAGE)
    if last > 1:
        commits = list(_page(repository, base, head, last).get("commits") or [])
        if len(commits) < MOST_COMMITS:
            before = first if last == 2 else _page(repository, base, head, last - 1)
            commits = [*(before.get("commits") or []), *commits]
    return commits[::-1][:MOST_COMMITS]


def _commit(told: Mapping[str, Any]) -> dict[str, str]:
    """One commit; its author as GitHub knows them, else as they signed."""
    inner = told.get("commit") or {}
    signed = inner.get("author") or {}
    login = (told.get("author") or {}).get("login")
    message = str(inner.get("message") or "").strip()
    return {
        "sha": str(told.get("sha") or "")[:64],
        "title": one_line(message.split("\n", 1)[0], 200),
        "author": one_line(str(login or signed.get("name") or ""), 100),
        "at": str(signed.get("date") or "")[:40],
    }


def _file(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": one_line(str(told.get("filename") or ""), 300),
        "status": str(told.get("status") or "")[:20],
        "additions": int(told.get("additions") or 0),
        "deletions": int(told.get("deletions") or 0),
    }
