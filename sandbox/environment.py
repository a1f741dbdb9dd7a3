"""The environment that the demo's processes share: ports, addresses, secrets."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORTS = {
    "PORT": 8000,
    "MLFLOW_PORT": 8001,
    "GITHUB_PORT": 8002,
    "SLACK_PORT": 8003,
    "MAIL_PORT": 8004,
    "MAIL_SMTP_PORT": 8005,
}
SECRETS = (
    "SECRET_KEY",
    "GITHUB_TOKEN",
    "GITHUB_WEBHOOK_SECRET",
    "SLACK_BOT_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_CLIENT_SECRET",
)
# A developer's shell may hold real accounts. The demo talks to its stand-ins, never with these.
REAL_WORLD = (
    "GITHUB_APP_ID",
    "GITHUB_APP_PRIVATE_KEY",
    "GITHUB_APP_INSTALLATION_ID",
    "SLACK_APP_TOKEN",
    "SLACK_APP_ID",
    "SLACK_CONFIG_TOKEN",
    "EMAIL_USER",
    "EMAIL_PASSWORD",
    "SLACK_TOKEN_KEY",
    "SECRET_KEY_FALLBACKS",
    "DEBUG",
)
# Workers that die on purpose are for the tests alone.
FOR_TESTS = ("COUNTERSIGN_FAILPOINTS",)
# MLflow's own patience (7 tries, 247 s) would hold a worker for minutes when the server is down.
MLFLOW_CLIENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# Said by libraries on every start; nothing that somebody who tries the demo could act upon.
KNOWN_WARNINGS = (
    "You're running the worker with superuser privileges",
    "starlette.middleware.wsgi is deprecated",
)


class StartError(RuntimeError):
    """`make run` cannot go on; the message is a sentence for the user."""


def data_folder() -> Path:
    """Where the demo keeps everything it knows."""
    return Path(os.environ.get("COUNTERSIGN_VAR") or ROOT / "var").resolve()


def read_ports(env: Mapping[str, str]) -> dict[str, int]:
    """The ports by the name of their setting. Raises StartError for one that cannot be."""
    ports: dict[str, int] = {}
    for name, default in PORTS.items():
        text = env.get(name) or str(default)
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise StartError(f"{name} is {text!r}; a port is a number from 1 to 65535.")
        port = int(text)
        for other, same in ports.items():
            if same == port:
                raise StartError(f"{other} and {name} are both {port}; each needs its own port.")
        ports[name] = port
    return ports


def check_free(ports: Mapping[str, int]) -> None:
    """Raises StartError, naming port and setting, when somebody already listens there."""
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except PermissionError as error:
                raise StartError(
                    f"Port {port} may not be used by this account. "
                    f"Choose one above 1023: make run {name}=8080"
                ) from error
            except OSError as error:
                raise StartError(
                    f"Port {port} is taken by another program. "
                    f"Stop that program, or choose another port: make run {name}={port + 1000}"
                ) from error


def read_secrets(file: Path) -> dict[str, str]:
    """The demo's secrets: made up once, kept in `file`, readable by its owner only."""
    try:
        known: dict[str, str] = json.loads(file.read_text())
    except FileNotFoundError:
        known = {}
    except ValueError as error:
        raise StartError(f"{file} is damaged. `make reset` starts over.") from error
    missing = [name for name in SECRETS if name not in known]
    if missing:
        known.update({name: secrets.token_urlsafe(48) for name in missing})
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            os.fchmod(out.fileno(), 0o600)
            json.dump(known, out, indent=1)
    return known


def build(
    inherited: Mapping[str, str], data: Path, ports: Mapping[str, int], secret: Mapping[str, str]
) -> dict[str, str]:
    """The processes' environment, without the addresses of database and broker."""
    home = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    ours = {
        **{name: str(port) for name, port in ports.items()},
        **secret,
        **MLFLOW_CLIENT,
        "SANDBOX": "1",
        "BASE_URL": home["PORT"],
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "MLFLOW_TRACKING_URI": home["MLFLOW_PORT"],
        "GITHUB_API_URL": home["GITHUB_PORT"],
        "SLACK_API_URL": home["SLACK_PORT"] + "/api/",
        "SLACK_TEAM_ID": "T0ACME",
        "SLACK_CLIENT_ID": "1234567890.0987654321",
        # The demo's past is told to the channel while people look at it already.
        "SLACK_POST_SECONDS": "0.1",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(ports["MAIL_SMTP_PORT"]),
        "EMAIL_TLS": "off",
        "DEFAULT_FROM_EMAIL": "Countersign <countersign@acme.example>",
        "SANDBOX_MAIL_URL": home["MAIL_PORT"] + "/",
        "COUNTERSIGN_CONFIG": str(ROOT / "examples" / "countersign.yaml"),
        "COUNTERSIGN_VAR": str(data),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": ",".join(f"ignore:{start}" for start in KNOWN_WARNINGS),
    }
    unwanted = {*REAL_WORLD, *FOR_TESTS, *(f"{name}_FILE" for name in {*ours, *REAL_WORLD})}
    return {**{key: value for key, value in inherited.items() if key not in unwanted}, **ours}
