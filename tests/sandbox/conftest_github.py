"""The stand-in for GitHub on a free port, a tiny repository for it, and a checking client.

A test module takes over the fixtures it needs by name: ``api = standin.api`` and so on.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from sandbox.github.server import Server
from sandbox.github.settings import Settings
from tests import openapi

REPOSITORY = "acme/tiny"
REPO = f"/repos/{REPOSITORY}"
DISPATCH = f"{REPO}/actions/workflows/deploy.yml/dispatches"
SECRET = "webhook-secret"
INPUTS = {"model": "fraud", "environment": "staging"}

Found = TypeVar("Found")

WORKFLOWS = {
    "deploy.yml": """
name: Deploy
run-name: Deploy ${{ inputs.model }} to ${{ inputs.environment }} [${{ inputs.token }}]
on:
  workflow_dispatch:
    inputs:
      model: {description: Model, required: true}
      environment: {type: choice, options: [staging, production], required: true}
      token: {default: none}
      seconds: {type: number, default: "0"}
concurrency: {group: "deploy-${{ inputs.model }}", queue: max, cancel-in-progress: false}
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: {name: "${{ inputs.environment }}", deployment: false}
    env: {MODEL: "${{ inputs.model }}", OUT: "${{ vars.OUT }}"}
    steps:
      - uses: actions/checkout@v5
      - uses: acme/unknown-action@v1
      - name: Deploy
        id: deploy
        env: {SECONDS_: "${{ inputs.seconds }}", TOKEN: "${{ inputs.token }}"}
        run: |
          echo "deploying $MODEL from $(git rev-parse HEAD)"
          sleep "$SECONDS_"
          if [ "$MODEL" = bad ]; then echo "no such model" | tee /dev/stderr; false; fi
          echo "$TOKEN" >> "$OUT/deployed"
          echo "token=$TOKEN" >> "$GITHUB_OUTPUT"
      - name: Only afterwards
        run: test "${{ steps.deploy.outputs.token }}" = "${{ inputs.token }}"
      - name: Whatever happened
        if: always()
        run: echo "status of $GITHUB_RUN_ID known"
""",
    "newest.yml": """
name: Newest wins
on: {workflow_dispatch: {inputs: {token: {default: none}}}}
run-name: newest ${{ inputs.token }}
concurrency: newest
jobs:
  wait: {runs-on: x, steps: [{run: sleep 0.3}]}
""",
    "push.yml": """
name: Check
on: {push: {branches: [main]}}
jobs:
  first: {runs-on: x, steps: [{run: 'echo "${{ secrets.KEY }} of $GITHUB_ACTOR"; true | false'}]}
  second: {needs: first, runs-on: x, steps: [{run: echo never}]}
  third: {needs: first, if: failure(), runs-on: x, environment: staging, steps: [{run: echo mend}]}
""",
}


class Api:
    """Calls the stand-in; every request and answer is held against GitHub's description."""

    def __init__(self, url: str, token: str) -> None:
        """Call this server with this token."""
        self.url, self.token = url, token
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __call__(
        self, method: str, path: str, body: Any = None, *, described: bool = True, **headers: str
    ) -> requests.Response:
        """One REST call; ``described=False`` for a request that is wrong on purpose."""
        sent = {"Authorization": f"Bearer {self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if described:
            openapi.validate_request(method, path, body)
        answer = self._session.request(
            method, self.url + path, json=body, headers=sent, timeout=10, allow_redirects=False
        )
        content = answer.json() if answer.content else None
        if answer.status_code != 304:
            openapi.validate_response(method, path, answer.status_code, content)
        return answer

    def get(self, path: str) -> Any:
        """What a successful GET answers."""
        answer = self("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def control(self, path: str, body: Any = None, method: str = "") -> Any:
        """One of the sandbox's own switches."""
        answer = self._session.request(
            method or ("GET" if body is None else "POST"),
            f"{self.url}/_sandbox/{path}",
            json=body,
            timeout=10,
        )
        assert answer.ok, answer.text
        return answer.json()

    def page(self, path: str) -> str:
        """A page's HTML."""
        answer = self._session.get(self.url + path, timeout=10)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    def fault(self, name: str, **options: Any) -> None:
        """Switch a fault on, once unless told otherwise."""
        self.control("faults", {"fault": name, "times": 1, **options})

    def struck(self, name: str) -> int:
        """How often a fault struck."""
        return int(self.control("faults")[name]["struck"])

    def dispatch(self, file: str = "deploy.yml", **inputs: str) -> int:
        """Start a workflow; its run's id."""
        given = (INPUTS if file == "deploy.yml" else {}) | inputs
        body = {"ref": "main", "inputs": given, "return_run_details": True}
        answer = self("POST", f"{REPO}/actions/workflows/{file}/dispatches", body)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["workflow_run_id"])

    def run(self, run_id: int) -> dict[str, Any]:
        """A run."""
        found: dict[str, Any] = self.get(f"{REPO}/actions/runs/{run_id}")
        return found

    def titles(self) -> list[str]:
        """The titles of the listed runs, newest first."""
        return [run["display_title"] for run in self.get(f"{REPO}/actions/runs")["workflow_runs"]]

    def finished(self, run_id: int) -> dict[str, Any]:
        """The run, once it is completed."""
        return until(
            lambda: run if (run := self.run(run_id))["status"] == "completed" else None,
            f"run {run_id} completed",
        )

    def jobs(self, run_id: int, query: str = "") -> list[dict[str, Any]]:
        """A run's jobs."""
        found: list[dict[str, Any]] = self.get(f"{REPO}/actions/runs/{run_id}/jobs{query}")["jobs"]
        return found

    def posts(self) -> int:
        """How many dispatches arrived."""
        asked = self.control("requests")
        return sum(one["method"] == "POST" and "/dispatches" in one["path"] for one in asked)


def until(look: Callable[[], Found | None], what: str, seconds: float = 10) -> Found:
    """What ``look`` finds, asked again until it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
    return found


class Receiver:
    """Takes webhooks as the product would; keeps the raw body and headers of each."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.received: list[tuple[dict[str, str], bytes]] = []
        kept = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def actions(self) -> list[str]:
        """What each webhook said had happened, in the order they came."""
        return [json.loads(body)["action"] for _, body in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    receiver = Receiver()
    yield receiver
    receiver.close()


def tiny(folder: Path, webhook_url: str = "") -> Settings:
    """A stand-in with the tiny repository; ``OUT`` is where its deployments leave a trace."""
    source = folder / "source"
    workflows = source / ".github" / "workflows"
    workflows.mkdir(parents=True)
    for name, text in WORKFLOWS.items():
        (workflows / name).write_text(text)
    (source / "README.md").write_text("# Tiny\n")
    (folder / "out").mkdir()
    return Settings(
        data=folder / "data",
        source=source,
        repository=REPOSITORY,
        webhook_url=webhook_url,
        webhook_secret=SECRET,
        variables={"OUT": str(folder / "out")},
        secrets={"KEY": "hush-hush"},
    )


@contextmanager
def serving(settings: Settings) -> Iterator[Api]:
    """A running stand-in, called with its token."""
    with Server(settings) as server:
        api = Api(server.url, settings.token)
        yield api
        api.close()


@pytest.fixture
def standin_settings(tmp_path: Path, receiver: Receiver) -> Settings:
    """What the test's stand-in is told; its webhooks go to the receiver."""
    return tiny(tmp_path, receiver.url)


@pytest.fixture
def api(standin_settings: Settings) -> Iterator[Api]:
    """The test's own stand-in."""
    with serving(standin_settings) as api:
        yield api


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A stand-in shared by tests that leave it as it was."""
    with serving(tiny(tmp_path_factory.mktemp("standin"))) as api:
        yield api


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[[], list[str]]:
    """The tokens that were really deployed, in order."""
    trace = tmp_path / "out" / "deployed"
    return lambda: trace.read_text().split() if trace.exists() else []
