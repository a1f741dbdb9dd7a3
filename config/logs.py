"""Logging: structlog renders everything, ours and the libraries', as text or as JSON lines."""

from __future__ import annotations

import logging.config

import structlog
from structlog.typing import Processor


def configure_logging(*, json: bool, level: str) -> None:
    """Set up the root logger. ``json`` picks one JSON object a line instead of readable text."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        renderer,
                    ]
                    if json
                    else [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                # bolt logs the whole body of badly signed requests at INFO.
                "slack_bolt.RequestVerification": {"level": "WARNING"},
                # bolt warns that it ignores SLACK_BOT_TOKEN, which is just what is wanted.
                "slack_bolt.App": {"level": "ERROR"},
                # Its DEBUG lines hold OAuth's answers with their tokens, and Socket Mode's addresses, which are as
                # good as passwords.
                "slack_sdk": {"level": "INFO"},
                # PyGithub's DEBUG logs print installation tokens.
                "github": {"level": "WARNING"},
                "urllib3": {"level": "WARNING"},
                "mlflow": {"level": "WARNING"},
                # one line per tick is noise
                "celery.app.trace": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
            },
        }
    )
