"""The JSON of people, the repository, its commits and files."""

import base64
import zlib
from dataclasses import dataclass
from typing import Any

from sandbox.github.git import NO_REPLY, Commit, Entry, FileChange, Repository
from sandbox.github.settings import APP_SLUG, INSTALLATION_ID, REPOSITORY_ID, Settings

Json = dict[str, Any]

_USER_PATHS = {
    "events_url": "events{/privacy}",
    "followers_url": "followers",
    "following_url": "following{/other_user}",
    "gists_url": "gists{/gist_id}",
    "organizations_url": "orgs",
    "received_events_url": "received_events",
    "repos_url": "repos",
    "starred_url": "starred{/owner}{/repo}",
    "subscriptions_url": "subscriptions",
}
_REPOSITORY_PATHS = {
    "archive_url": "{archive_format}{/ref}",
    "assignees_url": "assignees{/user}",
    "blobs_url": "git/blobs{/sha}",
    "branches_url": "branches{/branch}",
    "collaborators_url": "collaborators{/collaborator}",
    "comments_url": "comments{/number}",
    "commits_url": "commits{/sha}",
    "compare_url": "compare/{base}...{head}",
    "contents_url": "contents/{+path}",
    "contributors_url": "contributors",
    "deployments_url": "deployments",
    "downloads_url": "downloads",
    "events_url": "events",
    "forks_url": "forks",
    "git_commits_url": "git/commits{/sha}",
    "git_refs_url": "git/refs{/sha}",
    "git_tags_url": "git/tags{/sha}",
    "hooks_url": "hooks",
    "issue_comment_url": "issues/comments{/number}",
    "issue_events_url": "issues/events{/number}",
    "issues_url": "issues{/number}",
    "keys_url": "keys{/key_id}",
    "labels_url": "labels{/name}",
    "languages_url": "languages",
    "merges_url": "merges",
    "milestones_url": "milestones{/number}",
    "notifications_url": "notifications{?since,all,participating}",
    "pulls_url": "pulls{/number}",
    "releases_url": "releases{/id}",
    "stargazers_url": "stargazers",
    "statuses_url": "statuses/{sha}",
    "subscribers_url": "subscribers",
    "subscription_url": "subscription",
    "tags_url": "tags",
    "teams_url": "teams",
    "trees_url": "git/trees{/sha}",
}
_NONE_COUNTS = (
    "forks",
    "forks_count",
    "open_issues",
    "open_issues_count",
    "stargazers_count",
    "watchers",
    "watchers_count",
    "network_count",
    "subscribers_count",
    "size",
)


def number_of(text: str) -> int:
    """A number that always belongs to this text (ids of users and the like)."""
    return zlib.crc32(text.encode())


def node_id(kind: str, number: int) -> str:
    """GitHub's GraphQL id of something."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


@dataclass(frozen=True)
class RepositoryShapes:
    """Builds answers whose links begin with ``api`` (REST) or ``html`` (pages)."""

    settings: Settings
    repository: Repository
    api: str
    html: str

    @property
    def repo_api(self) -> str:
        """The repository's REST address."""
        return f"{self.api}/repos/{self.settings.repository}"

    @property
    def repo_html(self) -> str:
        """The repository's page."""
        return f"{self.html}/{self.settings.repository}"

    # -- people ------------------------------------------------------------------------------

    def user(self, login: str) -> Json:
        """A simple user: a person, an app's bot, or the repository's owner."""
        kind = "Bot" if login.endswith("[bot]") else "User"
        kind = "Organization" if login == self.settings.owner else kind
        url = f"{self.api}/users/{login}"
        number = number_of(login)
        return {
            "login": login,
            "id": number,
            "node_id": node_id(kind, number),
            "avatar_url": f"{self.html}/_sandbox/avatars/{number}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.html}/_sandbox/users/{login}",
            **{name: f"{url}/{path}" for name, path in _USER_PATHS.items()},
            "type": kind,
            "site_admin": False,
        }

    def me(self, login: str) -> Json:
        """The signed-in account, as ``GET /user`` answers."""
        at = "2024-01-01T00:00:00Z"
        nothing = dict.fromkeys(("bio", "blog", "company", "email", "hireable", "location"))
        counts = dict.fromkeys(("followers", "following", "public_gists", "public_repos"), 0)
        return (
            self.user(login)
            | nothing
            | counts
            | {
                "name": login,
                "created_at": at,
                "updated_at": at,
            }
        )

    def app(self) -> Json:
        """The GitHub App, as ``GET /app`` answers."""
        at = "2024-01-01T00:00:00Z"
        return {
            "id": INSTALLATION_ID,
            "slug": APP_SLUG,
            "node_id": node_id("App", INSTALLATION_ID),
            "owner": self.user(self.settings.owner),
            "name": "Countersign",
            "description": None,
            "external_url": self.html,
            "html_url": f"{self.html}/_sandbox",
            "created_at": at,
            "updated_at": at,
            "permissions": self.permissions(),
            "events": ["workflow_run", "deployment_protection_rule"],
        }

    def permissions(self) -> Json:
        """What the App may do."""
        return {"actions": "write", "contents": "read", "deployments": "write", "metadata": "read"}

    # -- repository --------------------------------------------------------------------------

    def minimal_repository(self) -> Json:
        """The repository as other objects carry it."""
        return {
            "id": REPOSITORY_ID,
            "node_id": node_id("Repository", REPOSITORY_ID),
            "name": self.settings.name,
            "full_name": self.settings.repository,
            "private": True,
            "owner": self.user(self.settings.owner),
            "html_url": self.repo_html,
            "description": "Models and the workflows that train, validate and deploy them",
            "fork": False,
            "url": self.repo_api,
            **{name: f"{self.repo_api}/{path}" for name, path in _REPOSITORY_PATHS.items()},
        }

    def full_repository(self) -> Json:
        """The repository as ``GET /repos/…`` and webhooks have it."""
        tip = self.repository.describe(self.repository.default_branch)
        host = self.html.split("//")[1]
        flags = ("archived", "disabled", "has_discussions", "has_pages", "has_wiki", "is_template")
        return self.minimal_repository() | {
            **dict.fromkeys(flags, False),
            **dict.fromkeys(("has_issues", "has_projects", "has_downloads"), True),
            **dict.fromkeys(_NONE_COUNTS, 0),
            **dict.fromkeys(("homepage", "license", "mirror_url")),
            "language": "Python",
            "default_branch": self.repository.default_branch,
            "clone_url": f"{self.repo_html}.git",
            "svn_url": self.repo_html,
            "git_url": f"git://{host}/{self.settings.repository}.git",
            "ssh_url": f"git@{host}:{self.settings.repository}.git",
            "visibility": "private",
            "created_at": "2024-01-01T00:00:00Z",
            "updated_at": tip.committed_at,
            "pushed_at": tip.committed_at,
            "permissions": {"admin": False, "push": True, "pull": True},
        }

    def _login(self, email: str) -> Json | None:
        return self.user(email.removesuffix(NO_REPLY)) if email.endswith(NO_REPLY) else None

    def commit(self, commit: Commit, files: list[FileChange] | None = None) -> Json:
        """A commit; with ``files`` also what it changed."""
        url = f"{self.repo_api}/commits/{commit.sha}"
        author = {
            "name": commit.author,
            "email": commit.author_email,
            "date": commit.authored_at,
        }
        committer = {
            "name": commit.committer,
            "email": commit.committer_email,
            "date": commit.committed_at,
        }
        git_url = f"{self.repo_api}/git/commits/{commit.sha}"
        answer = {
            "sha": commit.sha,
            "node_id": node_id("Commit", number_of(commit.sha)),
            "url": url,
            "html_url": f"{self.repo_html}/commit/{commit.sha}",
            "comments_url": f"{url}/comments",
            "author": self._login(commit.author_email),
            "committer": self._login(commit.committer_email),
            "parents": [
                {
                    "sha": sha,
                    "url": f"{self.repo_api}/commits/{sha}",
                    "html_url": f"{self.repo_html}/commit/{sha}",
                }
                for sha in commit.parents
            ],
            "commit": {
                "author": author,
                "committer": committer,
                "message": commit.message.strip(),
                "tree": {"sha": commit.tree, "url": f"{self.repo_api}/git/trees/{commit.tree}"},
                "url": git_url,
                "comment_count": 0,
            },
        }
        if files is not None:
            additions = sum(file.additions for file in files)
            deletions = sum(file.deletions for file in files)
            total = additions + deletions
            answer["stats"] = {"additions": additions, "deletions": deletions, "total": total}
            answer["files"] = [self.file_change(commit.sha, file) for file in files]
        return answer

    def file_change(self, sha: str, file: FileChange) -> Json:
        """One changed file of a commit or comparison."""
        return {
            "sha": file.sha,
            "filename": file.path,
            "status": file.status,
            "additions": file.additions,
            "deletions": file.deletions,
            "changes": file.additions + file.deletions,
            "blob_url": f"{self.repo_html}/blob/{sha}/{file.path}",
            "raw_url": f"{self.repo_html}/raw/{sha}/{file.path}",
            "contents_url": f"{self.repo_api}/contents/{file.path}?ref={sha}",
        }

    def branch(self, name: str, tip: Commit) -> Json:
        """A branch with its newest commit; the sandbox protects none."""
        url = f"{self.repo_api}/branches/{name}"
        return {
            "name": name,
            "commit": self.commit(tip),
            "_links": {"self": url, "html": f"{self.repo_html}/tree/{name}"},
            "protected": False,
            "protection": {"enabled": False},
            "protection_url": f"{url}/protection",
        }

    def git_ref(self, ref: str, sha: str) -> Json:
        """A git reference to a commit."""
        return {
            "ref": ref,
            "node_id": node_id("Ref", number_of(ref)),
            "url": f"{self.repo_api}/git/{ref}",
            "object": {
                "sha": sha,
                "type": "commit",
                "url": f"{self.repo_api}/git/commits/{sha}",
            },
        }

    def content(self, entry: Entry, ref: str) -> Json:
        """A file or folder of the repository, without its text."""
        url = f"{self.repo_api}/contents/{entry.path}?ref={ref}"
        is_file = entry.type == "file"
        word, kind = ("blob", "blobs") if is_file else ("tree", "trees")
        git_url = f"{self.repo_api}/git/{kind}/{entry.sha}"
        html_url = f"{self.repo_html}/{word}/{ref}/{entry.path}"
        raw = f"{self.repo_html}/raw/{ref}/{entry.path}" if is_file else None
        return {
            "type": entry.type,
            "size": entry.size,
            "name": entry.path.rsplit("/", 1)[-1],
            "path": entry.path,
            "sha": entry.sha,
            "url": url,
            "git_url": git_url,
            "html_url": html_url,
            "download_url": raw,
            "_links": {"git": git_url, "self": url, "html": html_url},
        }

    def installation_token(self, token: str, expires_at: str) -> Json:
        """The answer that hands out an installation token."""
        return {
            "token": token,
            "expires_at": expires_at,
            "permissions": self.permissions(),
            "repository_selection": "selected",
        }

    @staticmethod
    def rate(limit: int, used: int, reset: int) -> Json:
        """One rate limit; ``reset`` is Unix time in seconds."""
        remaining = max(0, limit - used)
        return {"limit": limit, "used": used, "remaining": remaining, "reset": reset}
