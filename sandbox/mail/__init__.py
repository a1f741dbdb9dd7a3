"""A mail server that delivers to nobody: SMTP in, a page with the messages out: ``python -m sandbox.mail``."""

from sandbox.mail.server import Server

__all__ = ["Server"]
