"""A start with something missing ends in one sentence; the sandbox stays at home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import Error, run_checks
from pytest_django.fixtures import Settings

from config.environment import Misconfigured, read, read_bool, read_list

NAME = "COUNTERSIGN_TEST_VALUE"
FILE = f"{NAME}_FILE"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(FILE, raising=False)


def test_by_name_or_by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read(NAME, "default") == "default"
    secret = tmp_path / "secret"
    secret.write_text("from the file\n", encoding="utf-8")
    monkeypatch.setenv(FILE, str(secret))
    assert read(NAME, "default") == "from the file"
    monkeypatch.setenv(NAME, "by name")
    with pytest.raises(Misconfigured, match=f"Both {NAME} and {FILE} are set"):
        read(NAME)
    monkeypatch.delenv(FILE)
    assert read(NAME) == "by name"
    monkeypatch.setenv(NAME, "  ")
    assert read(NAME, "default") == "default", "blank is unset"
    with pytest.raises(Misconfigured, match=f"{NAME} is not set. Set {NAME}, or {FILE}"):
        read(NAME)


def test_files_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        monkeypatch.setenv(FILE, str(path))
        with pytest.raises(Misconfigured) as caught:
            read(NAME, "a default does not help")
        assert str(path) in str(caught.value) and FILE in str(caught.value)
        return str(caught.value)

    assert "cannot be read (No such file or directory)" in refused(tmp_path / "absent")
    assert "cannot be read (Is a directory)" in refused(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refused(tmp_path / "binary")
    (tmp_path / "empty").write_text(" \n")
    assert "is empty" in refused(tmp_path / "empty")


def test_yes_no_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, value in {"1": True, "Yes": True, "on": True, "0": False, "FALSE": False}.items():
        monkeypatch.setenv(NAME, text)
        assert read_bool(NAME) is value
    monkeypatch.setenv(NAME, "maybe")
    with pytest.raises(Misconfigured, match=f"{NAME} is 'maybe'"):
        read_bool(NAME)
    monkeypatch.setenv(NAME, " a, ,b,")
    assert read_list(NAME) == ["a", "b"]


def manage(root: Path, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """``manage.py`` in a process of its own, with variables changed (None: unset)."""
    environment = {**os.environ, **{k: v for k, v in changes.items() if v is not None}}
    for name, value in changes.items():
        if value is None:
            environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SECRET_KEY": None}, "SECRET_KEY is not set. Set SECRET_KEY, or SECRET_KEY_FILE"),
        ({"BASE_URL": "countersign.example"}, "BASE_URL is 'countersign.example'."),
        ({"DATABASE_URL": "sqlite:///x.db"}, "DATABASE_URL must name a PostgreSQL database"),
        ({"EMAIL_TLS": "yes"}, "EMAIL_TLS is 'yes'. Use starttls, tls or off."),
        ({"EMAIL_PORT": "smtp"}, "EMAIL_PORT is 'smtp'. Use a port, a number from 1 to 65535."),
    ],
)
def test_one_sentence_no_traceback(
    root: Path, changes: dict[str, str | None], sentence: str
) -> None:
    done = manage(root, "check", **changes)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Countersign cannot start: {sentence}")
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_check_names_what_is_missing(root: Path) -> None:
    missing = ("MLFLOW_TRACKING_URI", "GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET", "SLACK_BOT_TOKEN")
    done = manage(root, "check", **dict.fromkeys(missing), BASE_URL="https://countersign.example")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for name in missing:
        assert name in done.stderr
    assert "lets anybody sign in as anybody, but BASE_URL points to countersign.ex" in done.stderr


def found() -> list[str]:
    return [each.id or "" for each in run_checks() if isinstance(each, Error)]


def test_nothing_is_missing() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BASE_URL", "https://countersign.example"),
        ("GITHUB_API_URL", "https://api.github.com"),
        ("SLACK_API_URL", "https://slack.com/api/"),
        ("BASE_URL", "http://127.0.0.1.example"),
        ("EMAIL_HOST", "smtp.example"),
    ],
)
def test_the_sandbox_stays_at_home(settings: Settings, name: str, value: str) -> None:
    settings.DEFAULT_FROM_EMAIL = "countersign@acme.example"
    setattr(settings, name, value)
    assert found() == ["approvals.E001"]
    settings.SANDBOX = False
    assert found() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"MLFLOW_TRACKING_URI": ""},
        {"GITHUB_TOKEN": ""},
        {"GITHUB_APP_ID": "7"},
        {"GITHUB_WEBHOOK_SECRET": ""},
        {"SLACK_BOT_TOKEN": ""},
        {"SLACK_SIGNING_SECRET": ""},
        {"SLACK_APP_TOKEN": "xoxb-the-bots"},
    ],
)
def test_each_service_is_asked_for(settings: Settings, changes: dict[str, str]) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert found() == ["integrations.E001"]


def test_slack_needs_one_way_in(settings: Settings) -> None:
    settings.SLACK_SIGNING_SECRET, settings.SLACK_APP_TOKEN = "", "xapp-1-token"
    assert found() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"DEFAULT_FROM_EMAIL": ""},
        {"DEFAULT_FROM_EMAIL": "Countersign, Inc <countersign@acme.example>"},
        {"EMAIL_HOST_USER": "countersign"},
        {"EMAIL_HOST_PASSWORD": "secret"},
    ],
)
def test_mail_is_configured_whole_or_not_at_all(
    settings: Settings, changes: dict[str, str]
) -> None:
    settings.EMAIL_HOST = "127.0.0.1"
    settings.DEFAULT_FROM_EMAIL = "Countersign <countersign@acme.example>"
    assert found() == []
    for name, value in changes.items():
        setattr(settings, name, value)
    assert found() == ["integrations.E001"]
    settings.EMAIL_HOST = ""
    assert found() == []


def test_a_github_app_instead_of_a_token(settings: Settings) -> None:
    settings.GITHUB_TOKEN = ""
    settings.GITHUB_APP_ID = settings.GITHUB_APP_INSTALLATION_ID = "7"
    settings.GITHUB_APP_PRIVATE_KEY = "key"
    assert found() == []
