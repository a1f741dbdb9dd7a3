"""A real Celery application whose worker is killed (SIGKILL) at a named point of the dispatch.

``celery -A tests.stack.doomed worker`` with ``DIE`` = ``before_post`` (after ``dispatching`` was
committed) or ``after_post`` (GitHub accepted, the answer is lost with the worker).
"""

from __future__ import annotations

import os
import signal
from typing import Any

import django

from config.celery import app

django.setup()

from integrations import effects  # noqa: E402

real_post = effects.github.post


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def doomed_post(*args: Any) -> Any:
    if os.environ["DIE"] == "before_post":
        die()
    answer = real_post(*args)
    die()
    return answer


def doomed_observe(*args: Any) -> Any:
    die()


if os.environ["DIE"] == "before_commit":
    effects.observe = doomed_observe
else:
    effects.github.post = doomed_post

__all__ = ["app"]
