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
    path("slack/workspaces/", slack.workspaces_page, name="slack_workspaces"),
    path("slack/workspaces/<str:team>/forget/", slack.forget, name="slack_forget"),
    path("slack/install", slack.install, name="slack_install"),
    path("slack/oauth", slack.oauth, name="slack_oauth"),
]
