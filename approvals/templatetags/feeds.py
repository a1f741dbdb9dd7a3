"""The private addresses of feeds, for pages that show them."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.urls import reverse

register = template.Library()


@register.simple_tag
def feed_address(name: str, key: str, query: str = "") -> str:
    """The whole address. ``query`` is what follows a question mark; a leading ``&`` is no matter."""
    asked = str(query or "").lstrip("&")
    return f"{settings.BASE_URL}{reverse(name, args=[key])}{'?' if asked else ''}{asked}"
