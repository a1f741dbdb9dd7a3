"""The Celery application. Messages are wake-up calls: losing or doubling one harms nothing,
because every task looks in the database for what is due (docs/adr/0003)."""

from __future__ import annotations

import os
import sys

from celery import Celery
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

try:
    broker_url = settings.REDIS_URL
except ImproperlyConfigured as error:
    sys.exit(f"Countersign cannot start: {error}")

app = Celery("countersign")
app.conf.update(
    broker_url=broker_url,
    task_ignore_result=True,
    task_acks_late=False,
    task_time_limit=600,
    task_soft_time_limit=570,
    worker_prefetch_multiplier=1,
    # Workers take from both queues in turn, so a pile of wake-up calls never keeps the clock waiting.
    task_queues=[Queue("ticks"), Queue("effects")],
    task_default_queue="ticks",
    task_routes={"integrations.tasks.deliver_effects": {"queue": "effects"}},
    worker_hijack_root_logger=False,
    worker_max_tasks_per_child=2000,
    broker_connection_retry_on_startup=True,
    # A click must not wait for a broker that is down: the sweep will find the effect.
    task_publish_retry=False,
    broker_transport_options={
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 15,
    },
    # Ticks that piled up while no worker ran are worth nothing.
    beat_schedule={
        name: {
            "task": f"integrations.tasks.{name}",
            "schedule": seconds,
            "options": {"expires": max(seconds * 2, 5)},
        }
        for name, seconds in {
            "deliver_effects": settings.TICK_SECONDS,
            "poll": settings.TICK_SECONDS,
            "look_after": 5.0,
            "heartbeat": 10.0,
            "look_at_messages": 30.0,
            "tidy": 3600.0,
        }.items()
    },
    beat_schedule_filename=str(settings.VAR / "celerybeat-schedule"),
    beat_max_loop_interval=1,
)
app.autodiscover_tasks(["integrations"])
