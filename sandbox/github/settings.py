"""What one running stand-in is told from outside."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY_ID = 1_000_001
INSTALLATION_ID = 4_000_001
APP_SLUG = "countersign"


@dataclass
class Settings:
    """Configuration of one stand-in; times are seconds.

    ``variables`` and ``secrets`` are what GitHub calls repository variables and secrets (the
    ``vars`` and ``secrets`` contexts). ``step_timeout`` bounds every step, whatever the workflow
    says. ``login`` is the account that ``token`` belongs to, and so the actor of what it starts;
    ``people`` are the logins that the pages offer for starting something by hand.
    """

    data: Path
    source: Path
    repository: str = "acme/ml-models"
    token: str = "sandbox-github-token"
    login: str = f"{APP_SLUG}[bot]"
    webhook_url: str = ""
    webhook_secret: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    environments: tuple[str, ...] = ("staging", "production")
    people: tuple[str, ...] = ("alice", "bob", "carol", "dave", "mallory")
    parallel: int = 2
    step_timeout: float = 300.0
    rate_limit: int = 5000
    public_url: str = "http://127.0.0.1:8002"
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    python_bin: Path = field(default_factory=lambda: Path(sys.executable).parent)

    @property
    def owner(self) -> str:
        """The account that owns the repository, e.g. ``acme``."""
        return self.repository.split("/")[0]

    @property
    def name(self) -> str:
        """The repository's name without its owner, e.g. ``ml-models``."""
        return self.repository.split("/")[1]
