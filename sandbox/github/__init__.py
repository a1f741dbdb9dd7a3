"""A small stateful stand-in for GitHub: its REST API, its webhooks, and Actions that really run.

``python -m sandbox.github`` serves it; ``sandbox.github.server.Server`` serves it inside a test.
"""

from sandbox.github.app import create_app
from sandbox.github.settings import Settings

__all__ = ["Settings", "create_app"]
