"""The services' doors."""

from __future__ import annotations

from django.urls import path

from integrations.github import views as github
from integrations.slack import views as slack

urlpatterns = [
    path("github/webhook", github.webhook, name="github_webhook"),
    path("slack/events", slack.events, name="slack_events"),
    path("slack/link/<str:token>/", slack.link, name="slack_link"),
    path("slack/unlink/", slack.unlink, name="slack_unlink"),
]
