"""`python -m sandbox.slack --port 8003 --data var/slack`: the stand-in for Slack."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import uvicorn

from sandbox.slack.app import create_app


def main() -> None:
    """Serve on 127.0.0.1 until stopped. Reads SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET and SLACK_APP_TOKEN."""
    base = os.environ.get("BASE_URL", "http://127.0.0.1:8000").rstrip("/")
    parser = argparse.ArgumentParser(prog="python -m sandbox.slack", description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("SLACK_PORT", "8003")))
    parser.add_argument("--data", type=Path, default=Path("var/slack"))
    parser.add_argument("--events-url", default=f"{base}/integrations/slack/events")
    options = parser.parse_args()
    try:
        token, secret = os.environ["SLACK_BOT_TOKEN"], os.environ["SLACK_SIGNING_SECRET"]
    except KeyError as missing:
        parser.error(f"{missing.args[0]} is not set")
    app = create_app(
        data=options.data,
        token=token,
        signing_secret=secret,
        events_url=options.events_url,
        client_id=os.environ.get("SLACK_CLIENT_ID", ""),
        client_secret=os.environ.get("SLACK_CLIENT_SECRET", ""),
        app_token=os.environ.get("SLACK_APP_TOKEN", ""),
    )
    print(f"Slack stand-in: http://127.0.0.1:{options.port}/ → {options.events_url}", flush=True)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
