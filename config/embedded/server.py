"""What every embedded server is: something with a folder that can be asked, started and stopped."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path

from config.environment import Misconfigured

START_SECONDS = 60  # a crashed PostgreSQL replays its log first; usual starts take under a second


class EmbeddedServerError(Misconfigured):
    """An embedded server cannot be started; the message says what to do about it."""


class Server(ABC):
    """A server whose data, log and settings are in `folder`, and nowhere else."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server that keeps its data in this folder answers right now."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """Stop the server of this folder, if there is one, and wait for its end."""

    def log(self) -> str:
        """The end of what the server said, for a person to read."""
        try:
            lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-15:])

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{self.name} did not answer within {START_SECONDS} s. "
                    f"Its last words:\n{self.log()}"
                )
            time.sleep(0.05)
