"""Which queue a task goes to: the clock must not stand behind a pile of wake-up calls."""

from __future__ import annotations

import pytest

from config.celery import app


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("integrations.tasks.deliver_effects", "effects"),
        ("integrations.tasks.look_after", "ticks"),
        ("integrations.tasks.poll", "ticks"),
        ("integrations.tasks.heartbeat", "ticks"),
    ],
)
def test_the_clock_has_a_queue_of_its_own(task: str, queue: str) -> None:
    assert app.amqp.router.route({}, task)["queue"].name == queue


def test_every_worker_takes_from_both() -> None:
    assert set(app.amqp.queues) == {"ticks", "effects"}
    assert set(app.conf.beat_schedule) == {
        *("deliver_effects", "poll", "look_after", "heartbeat", "tidy", "look_at_messages")
    }
