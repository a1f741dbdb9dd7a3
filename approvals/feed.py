"""The timeline as an Atom feed (RFC 4287)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed

from approvals.models import Event
from approvals.narrative import kind_of, sentence_of
from approvals.selectors.filters import Filters
from approvals.wording import one_line

# What XML 1.0 cannot hold at all, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Stable(Atom1Feed):
    """A feed without entries does not change from one moment to the next."""

    def latest_post_date(self) -> datetime:
        return super().latest_post_date() if self.items else datetime(2020, 1, 1, tzinfo=UTC)


def atom_of(events: Sequence[Event], filters: Filters) -> bytes:
    """One entry for each event. Ids are made of the events' hashes: they stay when the address changes."""
    query = urlencode(filters.pairs)
    asked = ", ".join(f"{name} {value}" for name, value in filters.pairs)
    home = settings.BASE_URL + reverse("timeline")
    feed = _Stable(
        title=_text(f"Countersign: {asked}" if asked else "Countersign: timeline"),
        link=f"{home}?{query}" if query else home,
        description="",
        language="en",
        author_name="Countersign",
        feed_guid=_urn(f"{settings.BASE_URL}?{query}"),
    )
    for event in events:
        feed.add_item(
            title=_text(one_line(sentence_of(event), 200)),
            link=f"{home}?event={event.pk}#event-{event.pk}",
            description=_text(_about(event)),
            unique_id=_urn(event.hash),
            author_name=_text(str(event.actor) if event.actor else "Countersign"),
            pubdate=event.at,
            updateddate=event.at,
            categories=[event.kind, kind_of(event).tone],
        )
    return str(feed.writeString("utf-8")).encode()


def _about(event: Event) -> str:
    """Plain text, which Atom1Feed marks as HTML: so it is escaped once more."""
    from django.utils.html import escape, linebreaks

    promotion, data = event.promotion, event.data
    lines: list[Any] = [sentence_of(event)]
    lines += [data[key] for key in ("reason", "comment") if data.get(key)]
    if promotion is not None:
        lines.append(f"{settings.BASE_URL}{promotion.get_absolute_url()}")
    return str(linebreaks(escape("\n\n".join(map(str, dict.fromkeys(lines))))))


def _text(text: str) -> str:
    return _NOT_XML.sub("", text)


def _urn(text: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, text).urn
