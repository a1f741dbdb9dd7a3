"""A real Celery application whose worker is killed (SIGKILL) at a named point of the dispatch.

``celery -A tests.integrations.doomed worker`` with ``DIE`` = ``before_post`` (after ``dispatching`` was
committed) or ``after_post`` (GitHub accepted, the answer is lost with the worker).
"""

from __future__ import annotations

import os
import signal

import django

from config.celery import app

django.setup()

from github.Requester import Requester  # noqa: E402

from approvals.models import Target  # noqa: E402
from approvals.services import ObservedFacts  # noqa: E402
from approvals.services.delivery import DispatchOrder  # noqa: E402
from integrations import effects  # noqa: E402
from integrations.github import dispatch  # noqa: E402

real_post = dispatch.post


def die() -> None:
    """The whole worker at once: nobody is left who could take the effect up again."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def doomed_post(order: DispatchOrder, by: Requester) -> dispatch.Started:
    if os.environ["DIE"] == "before_post":
        die()
    answer = real_post(order, by)
    die()
    return answer


def doomed_observe(target: Target, number: int) -> ObservedFacts:
    die()
    raise AssertionError("dead by now")


if os.environ["DIE"] == "before_commit":
    effects.observe = doomed_observe
else:
    dispatch.post = doomed_post

__all__ = ["app"]
