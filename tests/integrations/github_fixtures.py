"""The GitHub stand-in with a tiny repository; every request and answer is held against GitHub's description."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from github.Requester import Requester
from pytest_django.fixtures import Settings as DjangoSettings

from sandbox.github.server import Server
from sandbox.github.settings import Settings
from tests import openapi

REPOSITORY = "acme/ml-models"
DEPLOY = """
name: Deploy a model
run-name: Deploy ${{ inputs.model }} v${{ inputs.version }} [${{ inputs.countersign }}]
on:
  workflow_dispatch:
    inputs:
      model: {required: true}
      version: {required: true}
      environment: {required: true}
      artifact_digest: {required: true}
      countersign: {required: true}
concurrency: {group: "deploy-${{ inputs.model }}-${{ inputs.environment }}", queue: max}
jobs:
  deploy:
    runs-on: ubuntu-latest
    env: {OUT: "${{ vars.OUT }}", LINE: "${{ inputs.model }} ${{ inputs.version }} ${{ inputs.countersign }}"}
    steps:
      - uses: actions/checkout@v5
      - name: Deploy
        run: |
          echo "$LINE" >> "$OUT/deployed"
          test ! -e "$OUT/fail"
"""
CI = """
name: CI
on: {push: {branches: [main]}}
jobs: {test: {runs-on: x, steps: [{run: "true"}]}}
"""


@dataclass
class GitHub:
    """The running stand-in and what the product sent to it."""

    server: Server
    out: Path
    sent: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    def control(self, method: str, path: str, body: Any = None) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, f"{self.url}/_sandbox/{path}", json=body, timeout=10)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    def fault(self, name: str, **options: Any) -> None:
        self.control("POST", "faults", {"fault": name, "times": 1, **options})

    def runs(self, workflow: str = "deploy-model.yml") -> list[dict[str, Any]]:
        """What GitHub itself holds, asked past the product."""
        found = self._get(f"actions/workflows/{workflow}/runs?per_page=100")["workflow_runs"]
        return list(found)

    def run(self, run_id: int) -> dict[str, Any]:
        """One run as GitHub itself holds it, whatever its workflow."""
        return self._get(f"actions/runs/{run_id}")

    def _get(self, path: str) -> dict[str, Any]:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{self.url}/repos/{REPOSITORY}/{path}",
                headers={"Authorization": f"Bearer {self.server.settings.token}"},
                timeout=10,
            )
            found: dict[str, Any] = answer.json()
            return found

    def posts(self) -> int:
        """How many dispatches the product sent."""
        return sum(method == "POST" and "/dispatches" in path for method, path, _ in self.sent)

    def deployed(self) -> list[str]:
        """The lines that the workflow's step really wrote."""
        file = self.out / "deployed"
        return file.read_text().splitlines() if file.exists() else []


def eventually(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Wait for a truthy answer; fail with the last one."""
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, f"did not happen in {seconds} s: {answer!r}"
        time.sleep(0.05)
    return answer


@pytest.fixture
def github(
    tmp_path: Path, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GitHub]:
    """A stand-in of its own for each test, and the product pointed at it."""
    source, out = tmp_path / "repository", tmp_path / "out"
    workflows = source / ".github" / "workflows"
    workflows.mkdir(parents=True)
    out.mkdir()
    (workflows / "deploy-model.yml").write_text(DEPLOY)
    (workflows / "ci.yml").write_text(CI)
    configured = Settings(
        data=tmp_path / "github",
        source=source,
        token=settings.GITHUB_TOKEN,
        webhook_secret=settings.GITHUB_WEBHOOK_SECRET,
        variables={"OUT": str(out)},
    )
    with Server(configured) as server:
        settings.GITHUB_API_URL = server.url
        standin = GitHub(server, out)
        _hold_against_the_description(monkeypatch, standin)
        yield standin


def _hold_against_the_description(monkeypatch: pytest.MonkeyPatch, standin: GitHub) -> None:
    real = Requester.requestJson

    def checked(
        self: Requester, verb: str, url: str, *args: Any, **kwargs: Any
    ) -> tuple[int, dict[str, Any], str]:
        openapi.validate_request(verb, url, kwargs.get("input"))
        standin.sent.append((verb, url, 0))
        status, headers, text = real(self, verb, url, *args, **kwargs)
        openapi.validate_response(verb, url, status, json.loads(text) if text else None)
        standin.sent[-1] = (verb, url, status)
        return status, headers, text

    monkeypatch.setattr(Requester, "requestJson", checked)
