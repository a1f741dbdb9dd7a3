"""The repository behind the stand-in: a bare git repository, asked through the git program."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

IDENTITY = ("Acme ML", "ml@acme.example")
NO_REPLY = "@users.noreply.github.com"  # GitHub's own address form: it names the login
_COMMIT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"


class NotFoundError(Exception):
    """The repository has no such ref, commit or path."""


@dataclass(frozen=True)
class Commit:
    """A commit's facts; dates are ISO 8601."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: str
    author_email: str
    authored_at: str
    committer: str
    committer_email: str
    committed_at: str
    message: str


@dataclass(frozen=True)
class FileChange:
    """One file of a comparison."""

    sha: str
    path: str
    status: str
    additions: int
    deletions: int


@dataclass(frozen=True)
class Entry:
    """One entry of a tree."""

    type: str
    sha: str
    size: int
    path: str


def _environment(**extra: str) -> dict[str, str]:
    """Git's environment: nothing of the person's own configuration or surrounding repository."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return inherited | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
        **extra,
    }


class Repository:
    """A bare repository at ``path``."""

    default_branch = "main"

    def __init__(self, path: Path) -> None:
        """Use the repository at ``path``, creating an empty one if there is none."""
        self.path = path
        self._commits: dict[str, Commit] = {}
        if not (path / "HEAD").exists():
            path.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--bare", f"--initial-branch={self.default_branch}")
            (path / "info").mkdir(exist_ok=True)
            (path / "info" / "exclude").write_text("__pycache__/\n*.pyc\n.ruff_cache/\n")

    def _git(self, *arguments: str, data: str | None = None, **env: str) -> str:
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments],
            input=data,
            env=_environment(**env),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotFoundError(done.stderr.strip())
        return done.stdout

    def import_folder(self, folder: Path) -> str:
        """Commit the folder's files to the default branch if they changed; return the tip.

        A folder imported before is compared with what was imported, so that commits made
        through the sandbox in between stay.
        """
        with tempfile.TemporaryDirectory() as temporary:
            index = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
            work_tree = f"--work-tree={folder.resolve()}"
            self._git(work_tree, "-C", str(folder.resolve()), "add", "--all", ".", **index)
            tree = self._git("write-tree", **index).strip()
        try:
            tip: str | None = self.resolve(self.default_branch)
            imported = self._git("rev-parse", "refs/sandbox/imported^{tree}").strip()
        except NotFoundError:
            tip, imported = None, ""
        if tip is not None and tree == imported:
            return tip
        message = "Update from the example" if tip else "Train, validate and deploy models"
        sha = self._write_commit(tree, tip, message, *IDENTITY)
        self._git("update-ref", "refs/sandbox/imported", sha)
        return sha

    def commit(self, message: str, login: str, files: dict[str, str] | None = None) -> str:
        """Add a commit by ``login`` to the default branch, changing ``files``; return its SHA."""
        tip = self.resolve(self.default_branch)
        with tempfile.TemporaryDirectory() as temporary:
            index = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
            self._git("read-tree", tip, **index)
            for path, text in (files or {}).items():
                blob = self._git("hash-object", "-w", "--stdin", data=text).strip()
                info = f"100644,{blob},{path}"
                self._git("update-index", "--add", "--cacheinfo", info, **index)
            tree = self._git("write-tree", **index).strip()
        return self._write_commit(tree, tip, message, login, login + NO_REPLY)

    def _write_commit(self, tree: str, parent: str | None, message: str, *who: str) -> str:
        name, email = who
        person = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", name), ("EMAIL", email))
        }
        parents = ["-p", parent] if parent else []
        sha = self._git("commit-tree", tree, *parents, data=message, **person).strip()
        self._git("update-ref", f"refs/heads/{self.default_branch}", sha)
        return sha

    def ref(self, name: str) -> str:
        """The full name (``refs/…``) of a branch or tag. Raises NotFoundError for anything else."""
        wanted = [name] if name.startswith("refs/") else [f"refs/heads/{name}", f"refs/tags/{name}"]
        for ref in wanted:
            if ref.startswith(("refs/heads/", "refs/tags/")) and self._has_ref(ref):
                return ref
        raise NotFoundError(name)

    def _has_ref(self, ref: str) -> bool:
        try:
            self._git("show-ref", "--verify", "--quiet", ref)
        except NotFoundError:
            return False
        return True

    def resolve(self, name: str) -> str:
        """The commit SHA of a branch, tag or (short) SHA. Raises NotFoundError."""
        return self._git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").strip()

    def describe(self, name: str) -> Commit:
        """The commit that ``name`` resolves to. Raises NotFoundError."""
        if name in self._commits:  # a whole SHA: what it names never changes
            return self._commits[name]
        sha = self.resolve(name)
        fields = self._git("show", "--no-patch", f"--format={_COMMIT}", sha).rstrip("\n")
        sha, tree, parents, *rest = fields.split("\0")
        commit = Commit(sha, tree, tuple(parents.split()), *rest)
        self._commits[sha] = commit
        return commit

    def log(self, revisions: str) -> list[str]:
        """The SHAs of a range such as ``a..b``, oldest first."""
        return self._git("rev-list", "--reverse", revisions).split()

    def merge_base(self, one: str, other: str) -> str:
        """The best common ancestor of two commits."""
        return self._git("merge-base", one, other).strip()

    def changes(self, base: str, head: str) -> list[FileChange]:
        """The files that differ between two commits or trees."""
        words = {"A": "added", "D": "removed"}
        found = []
        raw = self._git("diff-tree", "-r", "--no-renames", "--raw", "--numstat", base, head)
        lines = [line for line in raw.splitlines() if "\t" in line]
        modes = [line for line in lines if line.startswith(":")]
        counts = {line.split("\t")[2]: line.split("\t") for line in lines if line not in modes}
        for line in modes:
            facts, path = line.split("\t")
            *_, before, after, letter = facts.split()
            added, deleted = (int(n) if n.isdigit() else 0 for n in counts[path][:2])
            sha = self._full(before if letter == "D" else after)
            found.append(FileChange(sha, path, words.get(letter, "modified"), added, deleted))
        return found

    def changes_of(self, commit: Commit) -> list[FileChange]:
        """What a commit changed against its first parent (a first commit: every file)."""
        empty = self._git("hash-object", "-t", "tree", "-w", "--stdin", data="").strip()
        return self.changes(commit.parents[0] if commit.parents else empty, commit.sha)

    def _full(self, sha: str) -> str:
        return self._git("rev-parse", sha).strip()

    def entries(self, revision: str, path: str = "") -> list[Entry]:
        """What the folder (or the one file) at ``path`` holds. Raises NotFoundError if nothing."""
        kind = self._git("cat-file", "-t", f"{revision}:{path}").strip()
        spec = [f"{revision}:{path}"] if kind == "tree" else [revision, "--", path]
        found = []
        for line in self._git("ls-tree", "--long", "-z", *spec).split("\0"):
            if line:
                facts, name = line.split("\t")
                _, kind_, sha, size = facts.split()
                whole = name if kind != "tree" or not path else f"{path}/{name}"
                type_ = "dir" if kind_ == "tree" else "file"
                found.append(Entry(type_, sha, int(size) if size.isdigit() else 0, whole))
        return found

    def is_file(self, revision: str, path: str) -> bool:
        """Whether ``path`` is a file (not a folder) there. Raises NotFoundError if neither."""
        return self._git("cat-file", "-t", f"{revision}:{path}").strip() == "blob"

    def read(self, revision: str, path: str) -> str:
        """The text of a file. Raises NotFoundError."""
        return self._git("show", f"{revision}:{path}")

    def check_out(self, sha: str, folder: Path) -> None:
        """Clone into ``folder`` with ``sha`` checked out, as actions/checkout does."""
        env = _environment()
        for command in (
            ["git", "clone", "--quiet", "--no-checkout", str(self.path), str(folder)],
            ["git", "-C", str(folder), "checkout", "--quiet", "--detach", sha],
        ):
            subprocess.run(command, env=env, check=True, capture_output=True)
