"""REST: the repository, its commits and files, and the account that asks."""

import base64
import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any

from sandbox.github.git import NotFoundError
from sandbox.github.http import ApiError, Call, Reply
from sandbox.github.records import Token
from sandbox.github.settings import INSTALLATION_ID

# GitHub's own bounds of one answer to a comparison.
MOST_COMPARED = 250
MOST_FILES = 300


def get_repository(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}."""
    return Reply(body=call.shapes.full_repository())


def get_branch(call: Call) -> Reply:
    """GET …/branches/{branch}."""
    name = call.param("branch")
    repository = call.hub.repository
    tip = repository.describe(repository.ref(f"refs/heads/{name}"))
    return Reply(body=call.shapes.branch(name, tip))


def get_commit(call: Call) -> Reply:
    """GET …/commits/{branch, tag or SHA}, with what it changed."""
    ref = call.param("ref")
    repository = call.hub.repository
    try:
        commit = repository.describe(ref)
    except NotFoundError:
        raise ApiError(422, f"No commit found for SHA: {ref}") from None
    return Reply(body=call.shapes.commit(commit, repository.changes_of(commit)))


def compare(call: Call) -> Reply:
    """GET …/compare/{base}...{head}: commits oldest first, in pages; the files with the first page alone."""
    base_name, dots, head_name = call.param("basehead").partition("...")
    if not dots:
        raise ApiError(404, "Not Found")
    repository, shapes = call.hub.repository, call.shapes
    base, head = repository.describe(base_name), repository.describe(head_name)
    try:
        fork = repository.describe(repository.merge_base(base.sha, head.sha))
    except NotFoundError:
        message = f"No common ancestor between {base_name} and {head_name}."
        raise ApiError(404, message) from None
    ahead = repository.log(f"{base.sha}..{head.sha}")
    behind = repository.log(f"{head.sha}..{base.sha}")
    words = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
    url = f"{shapes.repo_api}/compare/{base_name}...{head_name}"
    html_url = f"{shapes.repo_html}/compare/{base_name}...{head_name}"
    size, page = call.size(MOST_COMPARED, MOST_COMPARED), call.number()
    shown = ahead[(page - 1) * size : page * size]
    changes = repository.changes(fork.sha, head.sha)[:MOST_FILES] if page == 1 else []
    return Reply(
        body={
            "url": url,
            "html_url": html_url,
            "permalink_url": html_url,
            "diff_url": f"{html_url}.diff",
            "patch_url": f"{html_url}.patch",
            "base_commit": shapes.commit(base),
            "merge_base_commit": shapes.commit(fork),
            "status": words.get((bool(ahead), bool(behind)), "diverged"),
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [shapes.commit(repository.describe(sha)) for sha in shown],
            "files": [shapes.file_change(head.sha, file) for file in changes],
        }
    )


def get_contents(call: Call) -> Reply:
    """GET …/contents/{path}: a file with its text (base64), or a folder's list."""
    repository, path = call.hub.repository, call.param("path").strip("/")
    ref = call.query("ref", repository.default_branch)
    sha = repository.resolve(ref)
    entries = repository.entries(sha, path)
    if not repository.is_file(sha, path):
        return Reply(body=[call.shapes.content(entry, ref) for entry in entries])
    data = repository.read(sha, path).encode()
    answer = call.shapes.content(entries[0], ref)
    return Reply(body=answer | {"encoding": "base64", "content": base64.encodebytes(data).decode()})


def get_ref(call: Call) -> Reply:
    """GET …/git/ref/{heads/… or tags/…}."""
    ref = call.hub.repository.ref("refs/" + call.param("ref"))
    return Reply(body=call.shapes.git_ref(ref, call.hub.repository.resolve(ref)))


def get_user(call: Call) -> Reply:
    """GET /user."""
    return Reply(body=call.shapes.me(call.login))


def get_rate_limit(call: Call) -> Reply:
    """GET /rate_limit; asking costs nothing."""
    limiter = call.hub.limiter
    core = call.shapes.rate(limiter.limit, limiter.used, limiter.reset)
    search = call.shapes.rate(30, 0, limiter.reset)
    return Reply(body={"resources": {"core": core, "search": search}, "rate": core})


def get_app(call: Call) -> Reply:
    """GET /app."""
    return Reply(body=call.shapes.app())


def create_token(call: Call) -> Reply:
    """POST /app/installations/{id}/access_tokens: a new token, valid for an hour."""
    call.only("permissions", "repositories", "repository_ids")
    if call.param("installation_id") != str(INSTALLATION_ID):
        raise ApiError(404, "Not Found")
    text = f"ghs_{secrets.token_hex(18)}"
    token = call.hub.store.save(Token(hashlib.sha256(text.encode()).hexdigest()))
    until = datetime.fromtimestamp(token.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Reply(201, call.shapes.installation_token(text, until))


ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "", get_repository),
    ("GET", "/branches/{branch:path}", get_branch),
    ("GET", "/commits/{ref:path}", get_commit),
    ("GET", "/compare/{basehead:path}", compare),
    ("GET", "/contents/{path:path}", get_contents),
    ("GET", "/git/ref/{ref:path}", get_ref),
]
ACCOUNT_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/user", get_user),
    ("GET", "/rate_limit", get_rate_limit),
    ("GET", "/app", get_app),
    ("POST", "/app/installations/{installation_id}/access_tokens", create_token),
]
