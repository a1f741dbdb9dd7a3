"""Executing one attempt of a run: its jobs in order, each job's steps for real."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.github import expressions
from sandbox.github.expressions import ExpressionError, to_text
from sandbox.github.git import Repository
from sandbox.github.processes import SHELLS, base_environment, read_pairs, run_script
from sandbox.github.protection import Place, place_of
from sandbox.github.records import Job, Run, Step, Store, now
from sandbox.github.settings import Settings
from sandbox.github.workflows import InvalidError, WorkflowFile

# Which conclusion a run ends with when its jobs differ: the first of these that any job has.
_WORST = ("cancelled", "timed_out", "failure", "success", "skipped")


def step_name(step: dict[str, Any]) -> str:
    """A step's name as GitHub shows it when the workflow gives none."""
    given = step.get("name")
    first_line = str(step.get("run", "")).strip().split("\n")[0]
    return str(given or (f"Run {step.get('uses') or first_line}"))


def run_context(settings: Settings, run: Run) -> dict[str, Any]:
    """The contexts that a run's expressions may use outside its jobs."""
    github = {
        "actor": run.actor,
        "triggering_actor": run.triggering_actor,
        "api_url": settings.public_url,
        "server_url": settings.public_url,
        "event": {"inputs": {k: to_text(v) for k, v in run.inputs.items()}, "ref": run.ref},
        "event_name": run.event,
        "ref": run.ref,
        "ref_name": run.head_branch or "",
        "repository": settings.repository,
        "repository_owner": settings.owner,
        "run_attempt": str(run.attempt),
        "run_id": str(run.id),
        "run_number": str(run.number),
        "sha": run.head_sha,
        "workflow": run.name,
    }
    return {"github": github, "inputs": run.inputs, "vars": settings.variables}


def github_environment(context: dict[str, Any]) -> dict[str, str]:
    """The ``GITHUB_*`` variables of a step, from the ``github`` context."""
    github = context["github"]
    named = {f"GITHUB_{k.upper()}": v for k, v in github.items() if isinstance(v, str)}
    return named | {"CI": "true", "GITHUB_ACTIONS": "true", "RUNNER_OS": "Linux"}


# Waits until a job may go to its environment: empty, or the conclusion that it ends with instead.
# Raises InvalidError for a job that GitHub fails at once.
Admit = Callable[[Place], str]
# Told of a job that deploys: its environment and the state of its Deployment record.
Deploying = Callable[[str, str], None]


@dataclass
class _Scene:
    """What one job's steps share: folders, environment, contexts, the state so far."""

    workspace: Path
    temporary: Path
    environment: dict[str, str]
    context: dict[str, Any]
    deadline: float
    state: str = "success"
    path: list[str] = field(default_factory=list)


class Runner:
    """Executes attempts; every change is in the store at once, for pages and the API to show."""

    def __init__(self, settings: Settings, store: Store, repository: Repository) -> None:
        """Keep workspaces and logs under the settings' data folder."""
        self.settings, self.store, self.repository = settings, store, repository

    def log_path(self, step: Step) -> Path:
        """Where a step's log is."""
        return self.settings.data / "logs" / step.log

    def plan(self, run: Run, workflow: WorkflowFile) -> list[Job]:
        """Make the attempt's jobs, queued. A job's name may hold expressions."""
        context = run_context(self.settings, run)
        jobs = []
        for key, spec in workflow.jobs.items():
            try:
                name = to_text(expressions.fill(spec.get("name", key), context))
            except ExpressionError:
                name = key
            labels = spec.get("runs-on", "ubuntu-latest")
            labels = [
                to_text(label) for label in (labels if isinstance(labels, list) else [labels])
            ]
            job = Job(self.store.next_id(), run.id, run.attempt, key, name, labels)
            jobs.append(self.store.save(job))
        return jobs

    def execute(
        self,
        run: Run,
        workflow: WorkflowFile,
        jobs: list[Job],
        cancelled: threading.Event,
        admit: Admit,
        deploying: Deploying,
    ) -> str:
        """Run the attempt's jobs one after another; return the run's conclusion."""
        done: dict[str, Job] = {}
        for job in sorted(jobs, key=lambda job: _depth(workflow.jobs, job.key)):
            self._run_job(run, workflow, job, done, cancelled, admit, deploying)
            done[job.key] = job
        conclusions = {job.conclusion for job in jobs}
        return next((word for word in _WORST if word in conclusions), "success")

    def _run_job(
        self,
        run: Run,
        workflow: WorkflowFile,
        job: Job,
        done: dict[str, Job],
        cancelled: threading.Event,
        admit: Admit,
        deploying: Deploying,
    ) -> None:
        spec = workflow.jobs[job.key]
        context = run_context(self.settings, run) | {"secrets": self.settings.secrets}
        needed = [done[key] for key in _needs(spec) if key in done]
        context["needs"] = {n.key: {"result": n.conclusion, "outputs": {}} for n in needed}
        worst = next((n.conclusion for n in needed if n.conclusion != "success"), "success")
        context |= _status_functions(lambda: "cancelled" if cancelled.is_set() else str(worst))
        job.started_at = now()
        try:
            if cancelled.is_set() or not expressions.condition(spec.get("if"), context):
                self._finish_job(job, "cancelled" if cancelled.is_set() else "skipped")
                return
            place = place_of(expressions.fill(spec.get("environment"), context))
            if place and (instead := self._admitted(job, place, admit)):
                self._finish_job(job, instead)
                return
            job.status = "in_progress"
            self.store.save(job)
            if place and place.deploys:
                deploying(place.name, "in_progress")
            conclusion = self._run_steps(run, workflow, job, context, cancelled)
            if place and place.deploys:
                deploying(place.name, "success" if conclusion == "success" else "failure")
        except (ExpressionError, InvalidError) as error:
            conclusion = "failure"
            self._note(job, f"Error: {error}")
        self._finish_job(job, conclusion)

    def _admitted(self, job: Job, place: Place, admit: Admit) -> str:
        job.status = "waiting"
        self.store.save(job)
        return admit(place)

    def first_place(self, run: Run, workflow: WorkflowFile) -> Place | None:
        """The environment of the job that begins the run, as far as it can be told beforehand."""
        first = min(workflow.jobs, key=lambda key: _depth(workflow.jobs, key))
        context = run_context(self.settings, run)
        try:
            return place_of(expressions.fill(workflow.jobs[first].get("environment"), context))
        except ExpressionError:
            return None

    def _finish_job(self, job: Job, conclusion: str) -> None:
        job.status, job.conclusion, job.completed_at = "completed", conclusion, now()
        self.store.save(job)

    def _note(self, job: Job, text: str) -> None:
        """Say something in the log of the job's newest step."""
        if not job.steps:
            self._add_step(job, "Set up job", "in_progress")
            self._end_step(job, job.steps[0], "failure")
        with self.log_path(job.steps[-1]).open("a") as log:
            log.write(text + "\n")

    def _add_step(self, job: Job, name: str, status: str = "queued") -> Step:
        number = len(job.steps) + 1
        step = Step(number, name, f"{job.run_id}/{job.id}-{number}.txt", status)
        path = self.log_path(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        job.steps.append(step)
        return step

    def _end_step(self, job: Job, step: Step, conclusion: str) -> None:
        step.started_at = step.started_at or now()
        step.status, step.conclusion, step.completed_at = "completed", conclusion, now()
        self.store.save(job)

    def _run_steps(
        self,
        run: Run,
        workflow: WorkflowFile,
        job: Job,
        context: dict[str, Any],
        cancelled: threading.Event,
    ) -> str:
        spec = workflow.jobs[job.key]
        home = self.settings.data / "work" / str(job.id)
        scene = self._scene(workflow, job, home, context)
        scene.context |= _status_functions(
            lambda: "cancelled" if cancelled.is_set() else scene.state
        )
        setup = self._add_step(job, "Set up job", "in_progress")
        self.log_path(setup).write_text(
            f"Sandbox runner: {run.name}, job {job.key}, attempt {run.attempt}\n"
            f"Commit {run.head_sha} ({run.ref})\nStarted by {run.triggering_actor}\n"
        )
        specs = spec.get("steps") or []
        steps = [
            self._add_step(
                job, to_text(expressions.fill(step_name(item), _for_names(scene.context)))
            )
            for item in specs
        ]
        self._end_step(job, setup, "success")
        try:
            for item, step in zip(specs, steps, strict=True):
                self._run_step(run, workflow, job, item, step, scene, cancelled)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        self._end_step(job, self._add_step(job, "Complete job"), "success")
        if cancelled.is_set():
            return "cancelled"
        return "timed_out" if time.monotonic() > scene.deadline else scene.state

    def _scene(
        self, workflow: WorkflowFile, job: Job, home: Path, context: dict[str, Any]
    ) -> _Scene:
        spec = workflow.jobs[job.key]
        workspace, temporary = home / "workspace", home / "temp"
        for folder in (workspace, temporary, self.settings.data / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        context["github"] = context["github"] | {"workspace": str(workspace)}
        context |= {"steps": {}, "env": {}, "runner": {"os": "Linux", "temp": str(temporary)}}
        fixed = {
            "HOME": str(self.settings.data / "home"),
            "RUNNER_TEMP": str(temporary),
            "GITHUB_JOB": job.key,
        }
        environment = base_environment() | github_environment(context) | fixed
        for level in (workflow.body.get("env"), spec.get("env")):
            given = {k: to_text(v) for k, v in expressions.fill(level or {}, context).items()}
            context["env"] = context["env"] | given
        minutes = float(spec.get("timeout-minutes", 360))
        return _Scene(workspace, temporary, environment, context, time.monotonic() + minutes * 60)

    def _run_step(
        self,
        run: Run,
        workflow: WorkflowFile,
        job: Job,
        spec: dict[str, Any],
        step: Step,
        scene: _Scene,
        cancelled: threading.Event,
    ) -> None:
        log = self.log_path(step)
        try:
            if not expressions.condition(spec.get("if"), scene.context):
                self._end_step(job, step, "skipped")
                return
            step.status, step.started_at = "in_progress", now()
            self.store.save(job)
            own = expressions.fill(spec.get("env") or {}, scene.context)
            env = scene.context["env"] | {k: to_text(v) for k, v in own.items()}
            if "uses" in spec:
                conclusion = self._use(run, to_text(spec["uses"]), scene, log)
            else:
                conclusion = self._script(workflow, job, spec, step, scene, env, cancelled)
        except (ExpressionError, OSError, ValueError) as error:
            conclusion = "failure"
            with log.open("a") as output:
                output.write(f"Error: {error}\n")
        self._mask(log)
        outcome = conclusion
        if conclusion == "failure" and to_text(spec.get("continue-on-error")) == "true":
            conclusion = "success"
        if conclusion == "failure":
            scene.state = "failure"
        outputs = read_pairs(scene.temporary / f"output-{step.number}")
        if "id" in spec:
            facts = {"outputs": outputs, "outcome": outcome, "conclusion": conclusion}
            scene.context["steps"] = scene.context["steps"] | {str(spec["id"]): facts}
        self._end_step(job, step, conclusion)

    def _use(self, run: Run, action: str, scene: _Scene, log: Path) -> str:
        """The actions that the sandbox knows; any other is named in the log and passed over."""
        name = action.split("@")[0]
        if name == "actions/checkout":
            self.repository.check_out(run.head_sha, scene.workspace)
            log.write_text(f"Checked out {self.settings.repository} at {run.head_sha}\n")
            return "success"
        if name == "actions/setup-python":
            scene.path.insert(0, str(self.settings.python_bin))
            log.write_text("The sandbox's own Python is first on PATH\n")
            return "success"
        log.write_text(f"Skipped: the sandbox does not run the action {action}\n")
        return "skipped"

    def _script(
        self,
        workflow: WorkflowFile,
        job: Job,
        spec: dict[str, Any],
        step: Step,
        scene: _Scene,
        env: dict[str, str],
        cancelled: threading.Event,
    ) -> str:
        defaults: dict[str, Any] = {}
        for level in (workflow.body, workflow.jobs[job.key]):
            defaults |= (level.get("defaults") or {}).get("run") or {}
        shell = to_text(spec.get("shell", defaults.get("shell", "bash")))
        if shell not in SHELLS:
            raise ValueError(f"The sandbox has no shell '{shell}', only {', '.join(SHELLS)}")
        folder = to_text(spec.get("working-directory", defaults.get("working-directory", ".")))
        script = scene.temporary / f"step-{step.number}.sh"
        script.write_text(to_text(expressions.fill(spec["run"], scene.context)))
        files = {
            f"GITHUB_{name.upper()}": str(scene.temporary / f"{name}-{step.number}")
            for name in ("env", "path", "output", "step_summary")
        }
        for path in files.values():
            Path(path).touch()
        inherited = scene.environment.get("PATH", "/usr/bin:/bin")
        search = ":".join([*scene.path, inherited])
        minutes = float(spec.get("timeout-minutes", 360))
        left = scene.deadline - time.monotonic()
        conclusion = run_script(
            script,
            shell=shell,
            folder=scene.workspace / folder,
            environment=scene.environment | env | files | {"PATH": search},
            log=self.log_path(step),
            seconds=max(0.0, min(minutes * 60, left, self.settings.step_timeout)),
            cancelled=cancelled,
        )
        scene.context["env"] = scene.context["env"] | read_pairs(Path(files["GITHUB_ENV"]))
        added = Path(files["GITHUB_PATH"]).read_text().split("\n")
        scene.path[:0] = [line for line in reversed(added) if line]
        return conclusion

    def _mask(self, log: Path) -> None:
        """Put ``***`` for every secret that a step printed."""
        secrets = [value.encode() for value in self.settings.secrets.values() if value]
        text = masked = log.read_bytes()
        for secret in secrets:
            masked = masked.replace(secret, b"***")
        if masked != text:
            log.write_bytes(masked)


def _needs(spec: dict[str, Any]) -> list[str]:
    needs = spec.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def _depth(jobs: dict[str, dict[str, Any]], key: str, seen: tuple[str, ...] = ()) -> int:
    """How many jobs must come before this one in a chain; a circle counts as the start."""
    above = [need for need in _needs(jobs.get(key, {})) if need not in seen]
    return 1 + max((_depth(jobs, need, (*seen, key)) for need in above), default=0)


def _status_functions(state: Callable[[], str]) -> dict[str, Callable[[], bool]]:
    return {
        "success()": lambda: state() == "success",
        "failure()": lambda: state() in ("failure", "timed_out"),
        "cancelled()": lambda: state() == "cancelled",
        "always()": lambda: True,
    }


def _for_names(context: dict[str, Any]) -> dict[str, Any]:
    """The context for a step's name: it is shown, so the secrets in it are hidden."""
    return context | {"secrets": dict.fromkeys(context["secrets"], "***")}
