"""A small stateful stand-in for Slack over real HTTP: `python -m sandbox.slack`."""

from sandbox.slack.app import create_app
from sandbox.slack.serving import served

__all__ = ["create_app", "served"]
