"""The example repository: its workflows in the stand-in, its deployment script's refusals.

The script's MLflow is a few lines here (a registry in a folder), so that each case takes a moment;
the real one is used when the whole product runs.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.github import workflows
from sandbox.github.settings import Settings
from tests.sandbox.conftest_github import serving, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "model-repository"
FOLDER = EXAMPLE / ".github" / "workflows"
INPUTS = {
    "model": "fraud-detector",
    "version": "7",
    "environment": "production",
    "artifact_digest": "sha256:" + "0" * 64,
    "countersign": "cs-7f3a9c2e41d0",
}

MLFLOW = {
    "__init__.py": """
import os, shutil
class MlflowClient:
    def get_model_version(self, name, version):
        if version == "99":
            from mlflow.exceptions import MlflowException
            raise MlflowException("not found")
        return type("Version", (), {"status": os.environ.get("STATUS", "READY")})
    def get_model_version_download_uri(self, name, version):
        return os.path.join(os.environ["MLFLOW_TRACKING_URI"], version)
""",
    "artifacts.py": """
import shutil
def download_artifacts(artifact_uri, dst_path):
    shutil.copytree(artifact_uri, dst_path + "/artifacts")
""",
    "exceptions.py": "class MlflowException(Exception): pass",
    "pyfunc.py": """
import os
def load_model(path):
    text = open(path + "/weights").read()
    if text == "broken":
        raise ValueError("these weights do not load")
    return type("Model", (), {"predict": lambda self, rows: [0] * (len(rows) - (text == "short"))})()
""",
    "models.py": """
class Model:
    @staticmethod
    def load(path): return Model()
    def load_input_example(self, path): return [1, 2, 3]
""",
}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Versions 1 (good), 2 (good), 3 (does not load), 4 (loses a row), 5 (no model at all)."""
    for name, text in MLFLOW.items():
        (tmp_path / "stub" / "mlflow").mkdir(parents=True, exist_ok=True)
        (tmp_path / "stub" / "mlflow" / name).write_text(text)
    for version, weights in {"1": "one", "2": "two", "3": "broken", "4": "short"}.items():
        folder = tmp_path / "registry" / version
        (folder / "data").mkdir(parents=True)
        (folder / "MLmodel").write_text("flavors: {}\n")
        (folder / "weights").write_text(weights)
        (folder / "data" / "more").write_text("x")
    (tmp_path / "registry" / "5").mkdir()
    return tmp_path / "registry"


def _digest(folder: Path) -> str:
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{hashlib.sha256((folder / f).read_bytes()).hexdigest()}  {f}\n" for f in files]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _deploy(registry: Path, version: str = "1", **changed: str) -> subprocess.CompletedProcess[str]:
    given = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(registry.parent / "stub"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MODEL": "fraud-detector",
        "VERSION": version,
        "ENVIRONMENT": "production",
        "ARTIFACT_DIGEST": _digest(registry / version),
        "COUNTERSIGN": "cs-1",
        "MLFLOW_TRACKING_URI": str(registry),
        "SERVING_DIR": str(registry.parent / "serving"),
    }
    return subprocess.run(
        [sys.executable, str(EXAMPLE / "deploy" / "deploy_model.py")],
        env=given | changed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_workflow_takes_what_countersign_sends_and_shows_its_token(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", source=EXAMPLE)
    with serving(settings) as api:
        api.fault("never_start")
        path = "/repos/acme/ml-models/actions/workflows/deploy-model.yml/dispatches"
        for missing in INPUTS:
            inputs = {name: value for name, value in INPUTS.items() if name != missing}
            answer = api("POST", path, {"ref": "main", "inputs": inputs})
            assert answer.json()["message"] == f"Required input '{missing}' not provided"
        answer = api("POST", path, {"ref": "main", "inputs": INPUTS, "return_run_details": True})
        run = api.get(f"/repos/acme/ml-models/actions/runs/{answer.json()['workflow_run_id']}")
        assert run["display_title"] == ("Deploy fraud-detector v7 to production [cs-7f3a9c2e41d0]")
        names = {
            one["name"] for one in api.get("/repos/acme/ml-models/actions/workflows")["workflows"]
        }
        assert names == {"CI", "Deploy model", "Train", "Validate"}
        pushed = api.control("repos/acme/ml-models/commits", {"trigger": True})["runs"]
        done = until(
            lambda: (
                run
                if (run := api.get(f"/repos/acme/ml-models/actions/runs/{pushed[0]}"))["conclusion"]
                else None
            ),
            "the checks ran",
        )
        assert done["conclusion"] == "success", api.page(
            f"/acme/ml-models/actions/runs/{pushed[0]}"
        )


def test_no_input_is_pasted_into_a_script() -> None:
    for path in FOLDER.glob("*.yml"):
        file = workflows.read(path.name, path.read_text())
        for job in file.jobs.values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), f"{path.name}: {step}"
        assert file.body["permissions"] == {"contents": "read"}
    deploy = workflows.read("deploy", (FOLDER / "deploy-model.yml").read_text())
    rollout = {"strategy", "percent"}
    for name, one in deploy.dispatch_inputs.items():
        assert one["description"]
        assert one["required"] == (name not in rollout)
    assert deploy.body["concurrency"] == {
        "group": "deploy-${{ inputs.model }}-${{ inputs.environment }}",
        "queue": "max",
        "cancel-in-progress": False,
    }


def test_a_deployment_switches_and_says_what_serves(registry: Path) -> None:
    target = registry.parent / "serving" / "production" / "fraud-detector"
    for version in ("1", "2"):
        done = _deploy(registry, version)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(f"Live: fraud-detector version {version} in production\n")
        served = json.loads((target / "current" / "served.json").read_text())
        assert (served["version"], served["countersign"]) == (version, "cs-1")
        assert _digest(target / "current" / "model") == served["artifact_digest"]
    assert (target / "current").is_symlink()
    assert len([path for path in target.iterdir() if path.is_dir()]) == 3  # two versions, the link


def test_a_rollout_takes_its_share_and_goes_on_or_back(registry: Path) -> None:
    target = registry.parent / "serving" / "production" / "fraud-detector"

    def step(percent: str, strategy: str = "canary", version: str = "2") -> str:
        done = _deploy(registry, version, PERCENT=percent, STRATEGY=strategy)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def serves(name: str) -> str:
        return str(json.loads((target / name / "served.json").read_text())["version"])

    assert _deploy(registry, "1").returncode == 0
    assert step("10") == "At 10 %: fraud-detector version 2 in production"
    assert (serves("current"), serves("candidate")) == ("1", "2")
    assert json.loads((target / "route.json").read_text()) == {
        "strategy": "canary",
        "percent": 10,
        "version": "2",
    }
    folder = (target / "candidate").resolve()
    assert step("50") == "At 50 %: fraud-detector version 2 in production"
    assert (target / "candidate").resolve() == folder, "nothing is fetched twice"
    assert json.loads((target / "route.json").read_text())["percent"] == 50
    assert step("0", "go-back").startswith("Gone back: ")
    assert serves("current") == "1"
    assert not (target / "candidate").exists()
    assert not (target / "route.json").exists()
    step("0", "shadow")
    assert (serves("current"), serves("candidate")) == ("1", "2")
    assert step("100", "shadow") == "Live: fraud-detector version 2 in production"
    assert serves("current") == "2"
    assert not (target / "route.json").exists()


def test_a_step_fetches_again_what_was_tampered_with(registry: Path) -> None:
    target = registry.parent / "serving" / "production" / "fraud-detector"
    assert _deploy(registry, "2", PERCENT="10", STRATEGY="canary").returncode == 0
    before = (target / "candidate").resolve()
    (before / "model" / "weights").write_text("something else")
    done = _deploy(registry, "2", PERCENT="50", STRATEGY="canary")
    assert done.returncode == 0
    assert (target / "candidate").resolve() != before
    assert (target / "candidate" / "model" / "weights").read_text() == "two"


@pytest.mark.parametrize(
    ("version", "changed", "words"),
    [
        ("2", {"ARTIFACT_DIGEST": "sha256:" + "0" * 64}, "was approved"),
        ("3", {}, "the smoke test failed: ValueError: these weights do not load"),
        ("4", {}, "3 rows in, 2 predictions out"),
        ("5", {}, "no MLmodel file"),
        ("99", {}, "could not be fetched from MLflow: not found"),
        ("2", {"STATUS": "PENDING_REGISTRATION"}, "is not ready"),
        ("2", {"MODEL": "../../etc"}, "does not have the form"),
        ("2", {"PERCENT": "101"}, "does not have the form"),
        ("2", {"STRATEGY": "roulette"}, "does not have the form"),
        ("2", {"ENVIRONMENT": ".."}, "does not have the form"),
        ("2", {"ARTIFACT_DIGEST": ""}, "ARTIFACT_DIGEST not given"),
        ("2", {"SERVING_DIR": "/dev/null/x"}, "cannot be written"),
    ],
)
def test_a_refusal_leaves_the_old_version_serving(
    registry: Path, version: str, changed: dict[str, str], words: str
) -> None:
    assert _deploy(registry).returncode == 0
    target = registry.parent / "serving" / "production" / "fraud-detector"
    before = sorted(path.name for path in target.iterdir()), (target / "current").readlink()
    refused = _deploy(registry, version, **changed)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Deployment refused: ")
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    after = sorted(path.name for path in target.iterdir()), (target / "current").readlink()
    assert after == before
