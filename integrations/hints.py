"""What to do about each known failure of a connection: one table, from the sentences that the adapters raise.

docs/troubleshooting.md says the same at more length.
"""

from __future__ import annotations

import re

# The first that is found counts, so the special ones stand before the general.
HINTS: list[tuple[str, str]] = [
    # --- GitHub
    (
        r"GitHub refused the credentials|GitHub.*\b401\b",
        "The token is wrong, expired or was revoked. Put a new one into GITHUB_TOKEN (or mend the App's key) and "
        "restart web and worker.",
    ),
    (
        r"gave the App no token",
        "GITHUB_APP_ID, GITHUB_APP_INSTALLATION_ID and the private key belong together. Look whether the App is "
        "still installed.",
    ),
    (
        r"rate limit|HTTP 429|asks not to be read",
        "Nothing to do: it is read again by itself, and deployments go first. If it happens often, see who else "
        "uses the token, or use a GitHub App.",
    ),
    (
        r"renamed or moved",
        "Put the repository's new name into countersign.yaml and apply it.",
    ),
    (
        r"GitHub.*HTTP 404",
        "The name is wrong, or the token may not see the repository: check countersign.yaml, and that the token "
        "or the App was given this repository.",
    ),
    (
        r"GitHub.*HTTP 403",
        "The token lacks a permission: Actions read and write, Contents and Metadata read (docs/install.md).",
    ),
    (
        r"GitHub failed|GitHub.*HTTP 5\d\d",
        "GitHub itself is in trouble. It is tried again by itself; githubstatus.com tells more.",
    ),
    # --- MLflow
    (
        r"MLflow refused us",
        "Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or the token), and that MLflow's "
        "--allowed-hosts names the host in MLFLOW_TRACKING_URI: /health answers without that.",
    ),
    # --- Slack
    (
        r"not the workspace|does not name",
        "SLACK_BOT_TOKEN and SLACK_TEAM_ID belong to different workspaces: set both anew.",
    ),
    (
        r"missing_scope",
        "Add what slack-manifest.yaml asks for under OAuth & Permissions, then install the app again.",
    ),
    (
        r"app-level token",
        "SLACK_APP_TOKEN begins with xapp- and needs the scope connections:write.",
    ),
    (
        r"Slack refuse[sd] the token|invalid_auth|not_authed|token_revoked|token_expired|account_inactive",
        "Install the app in the workspace again, put the new token into SLACK_BOT_TOKEN, and restart web and "
        "worker.",
    ),
    (r"uninstalled|not installed in", "Install the app in the workspace again."),
    (
        r"is archived|is_archived|not_in_channel|channel_not_found|will not let us write|was not invited"
        r"|cannot find",
        "Open the channel again or name another one in countersign.yaml; in the channel, type: "
        "/invite @Countersign",
    ),
    (
        r"No Slack connection|runslack",
        "Start manage.py runslack, and look at its log.",
    ),
    # --- mail
    (
        r"mail server refused the credentials",
        "EMAIL_USER or EMAIL_PASSWORD is wrong, or the account asks for a password of its own for programs.",
    ),
    (
        r"mail server does not offer",
        "EMAIL_TLS and EMAIL_PORT do not fit each other: starttls uses 587, tls 465, off 25.",
    ),
    (
        r"mail server refused the sender",
        "The server does not let this account send as DEFAULT_FROM_EMAIL.",
    ),
    # --- serving layers
    (
        r"names no version",
        'The address answers, but not with a version: {"version": 3} or 3 is expected (docs/configuration.md).',
    ),
    (r"redirects, which is not followed", "Put the address that it redirects to into health_url."),
    # --- the line to any of them
    (
        r"name was not found|NameResolution|gaierror",
        "DNS: the host's name does not resolve here. Check its spelling, and the resolver of the worker's "
        "network.",
    ),
    (
        r"trusted certificate|secure connection|SSLError|CERTIFICATE",
        "TLS: the certificate is not trusted here. With an authority of your own, set SSL_CERT_FILE and "
        "REQUESTS_CA_BUNDLE; check the host's name and its certificate's date.",
    ),
    (
        r"no answer in time|[Tt]imed? ?out|took longer",
        "Nothing answers in time: usually a firewall or a proxy between, or an overloaded server.",
    ),
    (r"proxy refused", "Check HTTPS_PROXY and NO_PROXY of web and worker."),
    (
        r"ConnectionError|URLError|ConnectionRefused|ServerDisconnected|could not be (reached|read)",
        "Nothing listens there, or the line broke: is it running, and are host and port right? It is tried again "
        "by itself.",
    ),
    (
        r"answered 5\d\d|\(5\d\d\)|internal_error|fatal_error|service_unavailable",
        "The other side is in trouble. It is tried again by itself.",
    ),
    (
        r"internal error",
        "An error of Countersign's own: the worker's log has it. It is tried again by itself.",
    ),
]
_COMPILED = [(re.compile(pattern), hint) for pattern, hint in HINTS]


def hint_for(problem: str) -> str:
    """What to do about a problem; empty where nothing is known about it."""
    return next((hint for pattern, hint in _COMPILED if pattern.search(problem)), "")
