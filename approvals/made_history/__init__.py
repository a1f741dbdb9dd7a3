"""A history of years for an empty database, to measure pages with and to try an installation's size with.

``manage.py make_history`` calls it. The company is invented (``company``), and so is what happens in it
(``years``, ``tale``); the rows are those that the verbs would have written, with a chain of hashes that verifies,
copied in bulk (``tables``).
"""

from approvals.made_history.years import Size, make

__all__ = ["Size", "make"]
