"""What GitHub, MLflow and Slack hold themselves, asked past the product, over plain HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

REPOSITORY = "acme/ml-models"
WORKFLOW = "deploy-model.yml"
TITLE = re.compile(
    r"^Deploy (?P<model>\S+) v(?P<version>\d+) to (?P<environment>\S+)"
    r" \((?P<strategy>\S+) (?P<percent>\S+)\) \[(?P<token>[^\]]+)\]$"
)


@dataclass(frozen=True)
class Run:
    """A run on GitHub: what its title says, and how it ended (empty: it has not)."""

    id: int
    token: str
    model: str
    version: int
    environment: str
    strategy: str
    percent: str
    status: str
    conclusion: str

    @property
    def went_live(self) -> bool:
        """It brought a version to everybody."""
        return self.conclusion == "success" and self.percent in {"all", "100"}


class Outside:
    """The three services by their addresses."""

    def __init__(self, *, github: str, mlflow: str, slack: str, token: str) -> None:
        self.github, self.mlflow, self.slack = github, mlflow, slack
        self._http = requests.Session()
        self._http.trust_env = False
        self._bearer = {"Authorization": f"Bearer {token}"}

    def _ask(self, method: str, url: str, **more: Any) -> requests.Response:
        return self._http.request(method, url, timeout=30, **more)

    def runs(self, *, newest: int | None = None) -> list[Run]:
        """The runs of the deployment workflow, newest first: all, or those of the first page."""
        found: list[Run] = []
        page = 1
        while True:
            answer = self._ask(
                "GET",
                f"{self.github}/repos/{REPOSITORY}/actions/workflows/{WORKFLOW}/runs",
                params={"per_page": "100", "page": str(page)},
                headers=self._bearer,
            )
            answer.raise_for_status()
            runs = answer.json()["workflow_runs"]
            found += [run_of(each) for each in runs]
            if newest is not None or len(runs) < 100:
                return found
            page += 1

    def cancel_run(self, run_id: int) -> None:
        """Somebody cancels the run on GitHub; too late is no error."""
        url = f"{self.github}/repos/{REPOSITORY}/actions/runs/{run_id}/cancel"
        self._ask("POST", url, headers=self._bearer)

    def fault(self, name: str, **options: Any) -> None:
        """Switch a fault of GitHub's stand-in."""
        url = f"{self.github}/_sandbox/faults"
        self._ask("POST", url, json={"fault": name, **options}).raise_for_status()

    def faults(self) -> dict[str, int]:
        """How often each fault has struck."""
        answer = self._ask("GET", f"{self.github}/_sandbox/faults").json()
        return {name: int(each["struck"]) for name, each in answer.items()}

    def register(self, model: str, versions: int) -> None:
        """A registered model with one finished run, whose few bytes all its versions share."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.mlflow, registry_uri=self.mlflow)
        client.create_registered_model(model)
        run = client.create_run("0")
        client.log_metric(run.info.run_id, "accuracy", 0.9)
        client.log_text(run.info.run_id, "flavors: {}\n", "model/MLmodel")
        client.set_terminated(run.info.run_id)
        for _ in range(versions):
            source = f"{run.info.artifact_uri}/model"
            client.create_model_version(model, source, run_id=run.info.run_id)

    def alias(self, model: str, alias: str) -> int | None:
        """Where an alias points, None where there is none."""
        answer = self._ask(
            "GET",
            f"{self.mlflow}/api/2.0/mlflow/registered-models/get",
            params={"name": model},
        )
        answer.raise_for_status()
        aliases = answer.json()["registered_model"].get("aliases", [])
        return next((int(each["version"]) for each in aliases if each["alias"] == alias), None)

    def messages(self) -> dict[str, int]:
        """How many Slack messages carry each promotion's token; a reply written twice counts as one more."""
        answer = self._ask("GET", f"{self.slack}/_sandbox/messages").json()
        counts: dict[str, int] = {}
        written: set[tuple[str, int]] = set()
        for message in answer["messages"]:
            payload = (message.get("metadata") or {}).get("event_payload") or {}
            token, event = payload.get("token"), payload.get("event")
            if token and (event is None or (token, event) in written):
                counts[token] = counts.get(token, 0) + 1
            elif token and event is not None:
                written.add((token, event))
        return counts


def run_of(run: Mapping[str, Any]) -> Run:
    """A run as the REST API shows it. One without our title has an empty token."""
    title = TITLE.match(run["display_title"])
    said = title.groupdict() if title else {}
    return Run(
        id=int(run["id"]),
        token=said.get("token", ""),
        model=said.get("model", ""),
        version=int(said.get("version", 0)),
        environment=said.get("environment", ""),
        strategy=said.get("strategy", ""),
        percent=said.get("percent", ""),
        status=run["status"],
        conclusion=run["conclusion"] or "",
    )
