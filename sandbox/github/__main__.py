"""``python -m sandbox.github``: serve the stand-in for GitHub on 127.0.0.1."""

import argparse
import logging
import os
from pathlib import Path

from sandbox.github.server import serve
from sandbox.github.settings import Settings


def _pairs(given: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in given)}


def main() -> None:
    """Read the command line and the environment, then serve until told to stop."""
    env = os.environ
    port = int(env.get("GITHUB_PORT", "8002"))
    base = env.get("BASE_URL", "http://127.0.0.1:8000").rstrip("/")
    parser = argparse.ArgumentParser(prog="python -m sandbox.github", description=__doc__)
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--data", type=Path, default=Path("var/github"))
    parser.add_argument(
        "--repository",
        default="acme/ml-models=examples/model-repository",
        metavar="OWNER/NAME=FOLDER",
        help="the repository's name and the folder its first commit is made from",
    )
    parser.add_argument(
        "--webhook-url",
        default=f"{base}/integrations/github/webhook",
        help="where webhooks go; empty for none (their secret: GITHUB_WEBHOOK_SECRET)",
    )
    parser.add_argument(
        "--var", action="append", default=[], metavar="NAME=VALUE", help="a repository variable"
    )
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME=VALUE", help="a repository secret"
    )
    parser.add_argument("--rate-limit", type=int, default=5000, help="requests an hour")
    parser.add_argument("--step-timeout", type=float, default=300.0, help="seconds")
    given = parser.parse_args()
    name, _, source = given.repository.partition("=")
    variables = {
        "MLFLOW_TRACKING_URI": env.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:8001"),
        "SERVING_DIR": env.get("SERVING_DIR", str(Path("var/serving").resolve())),
    }
    settings = Settings(
        data=given.data.resolve(),
        source=Path(source),
        repository=name,
        token=env.get("GITHUB_TOKEN") or Settings.token,
        webhook_url=given.webhook_url,
        webhook_secret=env.get("GITHUB_WEBHOOK_SECRET", ""),
        variables=variables | _pairs(given.var),
        secrets=_pairs(given.secret),
        rate_limit=given.rate_limit,
        step_timeout=given.step_timeout,
        public_url=f"http://127.0.0.1:{given.port}",
    )
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    print(f"Sandbox GitHub: {settings.public_url}/{name}/actions", flush=True)
    serve(settings, given.port)


if __name__ == "__main__":
    main()
