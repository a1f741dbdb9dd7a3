"""What `make run` decides before it starts anything."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from sandbox.environment import StartError, build, check_free, read_ports, read_secrets


def test_a_taken_port_is_named_with_the_setting_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port} is taken .* make run GITHUB_PORT=\d+"):
            check_free({"GITHUB_PORT": port})
    check_free({"GITHUB_PORT": port})


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"PORT": "eighty"}, "PORT is 'eighty'; a port is a number from 1 to 65535"),
        ({"SLACK_PORT": "70000"}, "SLACK_PORT is '70000'"),
        ({"MLFLOW_PORT": "0"}, "MLFLOW_PORT is '0'"),
        ({"MLFLOW_PORT": "8000"}, "PORT and MLFLOW_PORT are both 8000"),
    ],
)
def test_ports_that_cannot_be_are_refused(env: dict[str, str], sentence: str) -> None:
    with pytest.raises(StartError, match=sentence):
        read_ports(env)


def test_each_port_can_be_changed() -> None:
    assert read_ports({"PORT": "9000", "SLACK_PORT": ""}) == {
        "PORT": 9000,
        "MLFLOW_PORT": 8001,
        "GITHUB_PORT": 8002,
        "SLACK_PORT": 8003,
        "MAIL_PORT": 8004,
        "MAIL_SMTP_PORT": 8005,
    }


def test_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    file = tmp_path / "var" / "secrets.json"
    first = read_secrets(file)
    assert read_secrets(file) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first) == 6
    assert all(len(value) >= 50 for value in first.values())


def test_a_secret_that_a_later_version_needs_is_added_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"SECRET_KEY": "kept"}))
    file.chmod(0o644)
    assert read_secrets(file)["SECRET_KEY"] == "kept"
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_demo_never_takes_a_real_account_from_the_shell(tmp_path: Path) -> None:
    shell = {
        "PATH": "/usr/bin",
        "GITHUB_TOKEN": "ghp_real",
        "GITHUB_APP_PRIVATE_KEY": "real",
        "SLACK_BOT_TOKEN_FILE": "/run/secrets/real",
        "EMAIL_HOST": "smtp.real",
        "EMAIL_PASSWORD": "real",
        "BASE_URL": "https://countersign.real",
        "DATABASE_URL": "postgresql://chosen",
    }
    env = build(shell, tmp_path, read_ports({}), read_secrets(tmp_path / "secrets.json"))
    assert "real" not in json.dumps(env)
    assert env["DATABASE_URL"] == "postgresql://chosen"  # this one may be chosen
    assert env["BASE_URL"] == "http://127.0.0.1:8000"
    assert env["SANDBOX"] == "1"
