"""Logging: structlog renders everything, ours and the libraries', as text or as JSON lines."""

from __future__ import annotations

import copy
import logging.config
import re
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# A feed's private address is as good as a password: what stands between these never reaches a log.
_FEED = re.compile(r"(/feeds/)[^/\s?\"']+(?=/(?:timeline\.atom|calendar\.ics))")
# The web servers' own lines, which do not pass our handler.
ACCESS_LOGS = ("gunicorn.access", "uvicorn.access", "django.server")


def without_keys(value: Any) -> Any:
    """The same without feeds' keys, where it is text; lists and objects are looked through."""
    if isinstance(value, str):
        return _FEED.sub(r"\1…", value)
    if isinstance(value, tuple | list):
        return type(value)(without_keys(each) for each in value)
    if isinstance(value, Mapping):
        # gunicorn's is a dict of its own kind, which knows what is missing.
        found: Any = copy.copy(value)
        for key in value:
            found[key] = without_keys(value[key])
        return found
    return value


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Of everything that is about to be written, also of an exception's text."""
    kept = {key: event[key] for key in ("_record", "exc_info") if key in event}
    rest = {key: value for key, value in event.items() if key not in kept}
    return {**without_keys(rest), **kept}


class WithoutKeys(logging.Filter):
    """Takes feeds' keys out of a record before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes, changed where it has to be."""
        record.msg = without_keys(record.msg)
        record.args = without_keys(record.args)
        return True


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
                        _redact,
                        renderer,
                    ]
                    if json
                    else [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        _redact,
                        renderer,
                    ],
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
    for name in ACCESS_LOGS:
        logger = logging.getLogger(name)
        # By hand: to configure a logger would take away the handler that its server gave it.
        if not any(isinstance(each, WithoutKeys) for each in logger.filters):
            logger.addFilter(WithoutKeys())
