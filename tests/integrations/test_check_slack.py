"""``manage.py check_slack`` against the stand-in, and the manifest against Slack's own schema of manifests."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from approvals.models import Target
from integrations.slack import manifest
from tests.integrations.slack_fixtures import APP_TOKEN, CHANNEL, Slack, slack, static_folder

__all__ = ["slack", "static_folder"]
CONFIG_TOKEN = "xoxe.xoxp-1-config"


def check() -> tuple[str, bool]:
    """What the command says, and whether it ends well."""
    out = io.StringIO()
    try:
        call_command("check_slack", stdout=out)
    except CommandError as error:
        return out.getvalue() + str(error), False
    return out.getvalue(), True


@pytest.fixture
def app(slack: Slack, settings: Settings) -> Slack:
    """An app that was made from the manifest as it is."""
    settings.SLACK_CONFIG_TOKEN, settings.SLACK_APP_ID = CONFIG_TOKEN, "A0COUNTERSIGN"
    slack.post(
        "app_settings",
        config_token=CONFIG_TOKEN,
        scopes=manifest.bot_scopes(),
        manifest=manifest.wanted(),
    )
    return slack


def changed(app: Slack, *path: str, to: Any) -> None:
    made = copy.deepcopy(manifest.wanted())
    place = made
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    app.post("app_settings", manifest=made)


class TestCheck:
    def test_all_is_well(self, app: Slack, settings: Settings) -> None:
        said, well = check()
        assert well and "WRONG" not in said
        assert "SLACK_BOT_TOKEN is valid: countersign in the workspace Acme (T0ACME)." in said
        assert "#model-releases (C0RELEASES) is there, and the app is in it." in said
        assert "is shared with another organisation, whose people see every request" in said
        assert "The app's settings are those of slack-manifest.yaml." in said
        for secret in (settings.SLACK_BOT_TOKEN, CONFIG_TOKEN):
            assert secret not in said

    def test_each_thing_that_is_missing(self, app: Slack, settings: Settings) -> None:
        bad = copy.deepcopy(manifest.wanted())
        bad["features"]["app_home"]["home_tab_enabled"] = False
        bad["features"]["slash_commands"][0]["should_escape"] = False
        bad["features"]["shortcuts"] = []
        bad["features"]["unfurl_domains"] = ["elsewhere.example"]
        bad["settings"]["interactivity"]["request_url"] = "https://old.example/"
        bad["settings"]["event_subscriptions"]["bot_events"].remove("user_change")
        bad["settings"]["event_subscriptions"]["bot_events"].append("message.channels")
        bad["settings"]["token_rotation_enabled"] = True
        scopes = [each for each in manifest.bot_scopes() if each != "users:read"]
        app.post("app_settings", manifest=bad, scopes=[*scopes, "files:read"])
        said, well = check()
        assert not well
        for sentence in (
            "WRONG  SLACK_BOT_TOKEN lacks users:read:",
            "note   SLACK_BOT_TOKEN has files:read, which",
            "WRONG  App Home, Home Tab is off and has to be on.",
            "WRONG  Slash Commands: should_escape of /countersign is False and has to be True.",
            "WRONG  Interactivity, Shortcuts: ask_for_promotion is missing.",
            "WRONG  Event Subscriptions, App Unfurl Domains: localhost is missing.",
            "WRONG  Interactivity, Request URL is https://old.example/ and has to be http://localhost",
            "WRONG  Event Subscriptions, bot events: user_change is missing.",
            "note   Event Subscriptions, bot events: message.channels is more than Countersign needs.",
            "WRONG  Token rotation is on",
            "8 to mend.",
        ):
            assert sentence in said, said

    def test_channels(self, app: Slack) -> None:
        target = app.world.target()
        Target.objects.filter(pk=target.pk).update(fallback_channel="C0NOWHERE")
        app.post("app_settings", channels={CHANNEL: {"is_member": False}})
        said, well = check()
        assert not well
        assert (
            "The channel C0NOWHERE: Slack will not let us write there (channel_not_found)" in said
        )
        assert "#model-releases (C0RELEASES): the app is not in it. There, type: /invite" in said
        app.post("app_settings", channels={CHANNEL: {"is_archived": True}})
        assert "#model-releases (C0RELEASES) is archived" in check()[0]

    def test_another_workspace(self, app: Slack, settings: Settings) -> None:
        settings.SLACK_TEAM_ID = ["T0ELSEWHERE"]
        said, well = check()
        assert not well and "(T0ACME), which SLACK_TEAM_ID (T0ELSEWHERE) does not name" in said

    def test_tokens_that_slack_refuses(self, app: Slack, settings: Settings) -> None:
        settings.SLACK_BOT_TOKEN = "xoxb-another"
        settings.SLACK_APP_TOKEN = "xapp-another"
        settings.SLACK_CONFIG_TOKEN = "xoxe-another"
        said, well = check()
        assert not well and "3 to mend" in said
        for words in ("Check SLACK_BOT_TOKEN", "Check SLACK_APP_TOKEN", "make a new one"):
            assert words in said
        assert "another" not in said

    def test_slack_is_away(self, app: Slack, settings: Settings) -> None:
        settings.SLACK_API_URL = "http://127.0.0.1:9/api/"
        said, well = check()
        assert not well and "Traceback" not in said
        assert said.count("could not be reached (URLError)") == 2

    def test_socket_mode_needs_no_addresses(self, app: Slack, settings: Settings) -> None:
        settings.SLACK_APP_TOKEN = APP_TOKEN
        said, well = check()
        assert not well and "WRONG  Socket Mode is off and has to be on." in said
        changed(app, "settings", "interactivity", to={"is_enabled": True})
        made = manifest.wanted()
        made["settings"]["interactivity"] = {"is_enabled": True}
        del made["settings"]["event_subscriptions"]["request_url"]
        app.post("app_settings", manifest=made)
        said, well = check()
        assert well and "SLACK_APP_TOKEN is valid: Socket Mode can connect." in said

    def test_without_the_token_for_settings(self, app: Slack, settings: Settings) -> None:
        settings.SLACK_CONFIG_TOKEN = ""
        said, well = check()
        assert well and "were not compared" in said

    @pytest.mark.django_db
    def test_not_set_up(self, settings: Settings) -> None:
        settings.SLACK_BOT_TOKEN = ""
        assert check() == (
            "Slack is not set up: SLACK_BOT_TOKEN is not set (docs/install.md).",
            False,
        )


class TestManifest:
    """Slack's limits are those of its reference of app manifests."""

    @pytest.fixture
    def made(self, root: Path) -> Any:
        return yaml.safe_load((root / "slack-manifest.yaml").read_text())

    def test_it_is_what_slack_takes(self, made: Any) -> None:
        assert set(made) <= {
            "_metadata",
            "display_information",
            "features",
            "oauth_config",
            "settings",
        }
        shown, features, settings = made["display_information"], made["features"], made["settings"]
        assert len(shown["name"]) <= 35 and len(shown["description"]) <= 140
        for command in features["slash_commands"]:
            assert command["command"].startswith("/") and len(command["command"]) <= 32
            assert len(command["description"]) <= 2000 and len(command["usage_hint"]) <= 1000
        for shortcut in features["shortcuts"]:
            assert shortcut["type"] in {"global", "message"} and len(shortcut["name"]) <= 24
            assert len(shortcut["description"]) <= 150 and len(shortcut["callback_id"]) <= 255
        assert len(features["unfurl_domains"]) <= 5
        assert len(settings["event_subscriptions"]["bot_events"]) <= 100
        addresses = [
            *(each["url"] for each in features["slash_commands"]),
            settings["interactivity"]["request_url"],
            settings["interactivity"]["message_menu_options_url"],
            settings["event_subscriptions"]["request_url"],
            *made["oauth_config"]["redirect_urls"],
        ]
        assert all(each.startswith("https://countersign.example/") for each in addresses)

    def test_every_scope_has_its_reason(self, root: Path, made: Any) -> None:
        install = (root / "docs" / "install.md").read_text()
        lines = (root / "slack-manifest.yaml").read_text().splitlines()
        for scope in made["oauth_config"]["scopes"]["bot"]:
            assert f"| `{scope}`" in install, f"docs/install.md does not say what {scope} is for"
        for event in made["settings"]["event_subscriptions"]["bot_events"]:
            assert f"`{event}`" in install
        bare = [line for line in lines if "users:read" in line]
        assert lines[lines.index(bare[0]) - 1].strip().startswith("#")

    def test_it_is_in_the_image(self, root: Path) -> None:
        copied = [line for line in (root / "Dockerfile").read_text().splitlines() if "COPY" in line]
        assert any("slack-manifest.yaml" in line for line in copied)
        assert "!slack-manifest.yaml" in (root / ".dockerignore").read_text().splitlines()
