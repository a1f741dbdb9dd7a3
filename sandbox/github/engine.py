"""What happens to runs: starting, queueing by concurrency group, cancelling, running again."""

import copy
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sandbox.github import expressions, workflows
from sandbox.github.deployments import Deployments
from sandbox.github.expressions import ExpressionError, to_text
from sandbox.github.faults import Faults
from sandbox.github.git import NotFoundError, Repository
from sandbox.github.protection import Place, Protection
from sandbox.github.records import (
    Environment,
    Job,
    PastAttempt,
    Run,
    Store,
    Workflow,
    now,
)
from sandbox.github.runner import Runner, run_context
from sandbox.github.settings import Settings
from sandbox.github.workflows import InvalidError, WorkflowFile

logger = logging.getLogger(__name__)

Announce = Callable[[Run, str], None]
Ask = Callable[[Run, str], None]


class ConflictError(Exception):
    """The run is not in a state that allows this; the message is GitHub's."""


class Engine:
    """Runs of one repository. ``announce(run, action)`` is called for every webhook's cause,
    ``ask(run, environment)`` where a custom deployment protection rule wants an answer."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        repository: Repository,
        faults: Faults,
        announce: Announce,
        ask: Ask,
    ) -> None:
        """Nothing runs until ``start``."""
        self.settings, self.store, self.repository = settings, store, repository
        self.faults, self.announce = faults, announce
        self.runner = Runner(settings, store, repository)
        self.deployments = Deployments(settings, store)
        self.protection = Protection(store, ask)
        self._files: tuple[str, list[WorkflowFile]] = ("", [])
        self._cancels: dict[int, threading.Event] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._stopping = False

    # -- the server's life -------------------------------------------------------------------

    def start(self) -> None:
        """Register environments and workflows; end what an earlier server left unfinished."""
        for name in self.settings.environments:
            self.environment(name)
        for run in self.store.all(Run):
            if not run.done:
                self._finish(run, "cancelled")
        self.workflows()

    def stop(self) -> None:
        """Cancel what runs and wait until its processes are gone."""
        with self.store.lock:
            self._stopping = True
            for event in self._cancels.values():
                event.set()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(timeout=10)

    # -- workflows and environments ----------------------------------------------------------

    def workflows(self) -> list[tuple[Workflow, WorkflowFile]]:
        """The readable workflow files of the default branch, each with its identity."""
        tip = self.repository.resolve(self.repository.default_branch)
        if self._files[0] != tip:
            self._files = tip, self._read_files(tip)
        return [(self._identity(file.path), file) for file in self._files[1]]

    def _read_files(self, tip: str) -> list[WorkflowFile]:
        try:
            entries = self.repository.entries(tip, workflows.FOLDER)
        except NotFoundError:
            return []
        found = []
        for path in (e.path for e in entries if e.path.endswith((".yml", ".yaml"))):
            try:
                found.append(workflows.read(path, self.repository.read(tip, path)))
            except InvalidError as error:
                logger.warning("%s", error)
        return found

    def _identity(self, path: str) -> Workflow:
        with self.store.lock:
            known = next((w for w in self.store.all(Workflow) if w.path == path), None)
            return known or self.store.save(Workflow(self.store.next_id(), path))

    def find_workflow(self, name: str) -> tuple[Workflow, WorkflowFile] | None:
        """The workflow with that number or file name, or None."""
        for workflow, file in self.workflows():
            if name in (str(workflow.id), workflow.path.rsplit("/", 1)[-1]):
                return workflow, file
        return None

    def environment(self, name: str) -> Environment:
        """The environment of that name, made if it is new (as GitHub does on first use)."""
        with self.store.lock:
            known = next((e for e in self.store.all(Environment) if e.name == name), None)
            return known or self.store.save(Environment(self.store.next_id(), name))

    # -- starting ----------------------------------------------------------------------------

    def dispatch(self, path: str, ref: str, inputs: dict[str, Any], actor: str) -> Run:
        """Start a workflow as a dispatch does. Raises InvalidError in GitHub's words."""
        try:
            full = self.repository.ref(ref)
            sha = self.repository.resolve(full)
        except NotFoundError:
            raise InvalidError(f"No ref found for: {ref}") from None
        try:
            file = workflows.read(path, self.repository.read(sha, path))
        except NotFoundError:
            raise InvalidError(f"Workflow file '{path}' not found on {ref}") from None
        return self.begin(file, sha, full, "workflow_dispatch", actor, file.accept_inputs(inputs))

    def pushed(self, sha: str, actor: str) -> list[Run]:
        """Start what ``on: push`` asks for on the default branch (branch filters are exact)."""
        branch = self.repository.default_branch
        started = []
        for _, file in self.workflows():
            settings = file.triggers.get("push")
            if settings is not None and branch in settings.get("branches", [branch]):
                started.append(self.begin(file, sha, f"refs/heads/{branch}", "push", actor, {}))
        return started

    def begin(
        self,
        file: WorkflowFile,
        sha: str,
        ref: str,
        event: str,
        actor: str,
        inputs: dict[str, Any],
        title: str = "",
    ) -> Run:
        """Make a run and queue it. Without ``title`` it gets the one GitHub would give."""
        with self.store.lock:
            workflow = self._identity(file.path)
            workflow.runs += 1
            self.store.save(workflow)
            run_id = self.store.next_id()
            run = Run(
                id=run_id,
                number=workflow.runs,
                workflow_id=workflow.id,
                path=file.path,
                name=file.name,
                title=title,
                event=event,
                ref=ref,
                head_branch=ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
                head_sha=sha,
                actor=actor,
                triggering_actor=actor,
                inputs=inputs,
                position=run_id,
            )
            try:
                run.title = title or self._title(file, run)
                run.group = self._group(file, run)
            except ExpressionError as error:
                logger.warning("%s: %s", file.path, error)
                run.title = run.title or file.name
                run.group = None
                return self._startup_failure(run)
            if late := self.faults.strike("late_lists"):
                run.listed_after = time.time() + float(late["seconds"])
            return self._enqueue(run, file)

    def _title(self, file: WorkflowFile, run: Run) -> str:
        if "run-name" in file.body:
            filled = expressions.fill(file.body["run-name"], run_context(self.settings, run))
            if title := to_text(filled).strip():
                return title
        if run.event == "push":
            return self.repository.describe(run.head_sha).message.split("\n")[0]
        return file.name

    def _group(self, file: WorkflowFile, run: Run) -> str | None:
        concurrency = file.body.get("concurrency")
        given = concurrency.get("group") if isinstance(concurrency, dict) else concurrency
        filled = to_text(expressions.fill(given, run_context(self.settings, run)))
        return filled.lower() or None  # GitHub: group names are case-insensitive

    def _startup_failure(self, run: Run) -> Run:
        self.store.save(run)
        self.announce(run, "requested")
        self._finish(run, "startup_failure")
        return run

    def _enqueue(self, run: Run, file: WorkflowFile) -> Run:
        run.held = self.faults.strike("never_start") is not None
        self._make_room(run, file.body.get("concurrency"))
        self.runner.plan(run, file)
        self.store.save(run)
        self.announce(run, "requested")
        self._fill()
        return run

    def _make_room(self, run: Run, concurrency: Any) -> None:
        """GitHub's default: a newer run of a group cancels the pending one; ``queue: max`` not."""
        settings = concurrency if isinstance(concurrency, dict) else {}
        if run.group is None or settings.get("queue") == "max":
            return
        others = [r for r in self._unfinished() if r.group == run.group and r.id != run.id]
        stop_holder = to_text(settings.get("cancel-in-progress")) == "true"
        for other in others if stop_holder else others[1:]:
            self._end(other)

    # -- queueing ----------------------------------------------------------------------------

    def _unfinished(self) -> list[Run]:
        runs = [run for run in self.store.all(Run) if not run.done]
        return sorted(runs, key=lambda run: (run.id not in self._threads, run.position))

    def _fill(self) -> None:
        """Start what may start: the first of each concurrency group, while a runner is free."""
        with self.store.lock:
            if self._stopping:
                return
            taken: set[str] = set()
            for run in self._unfinished():
                blocked = run.group in taken
                if run.group:
                    taken.add(run.group)
                if run.id in self._threads:
                    continue
                status = "pending" if blocked else "queued"
                if run.status != status:
                    run.status = status
                    self.store.save(run)
                if not blocked and not run.held and self._busy() < self.settings.parallel:
                    self._launch(run)

    def _busy(self) -> int:
        """How many runners work: a run that waits at a gate has none."""
        return sum(run.status == "in_progress" for run in self.store.all(Run))

    def _launch(self, run: Run) -> None:
        run.started_at = now()
        self._cancels[run.id] = threading.Event()
        thread = threading.Thread(target=self._work, args=(run,), name=f"run-{run.id}", daemon=True)
        self._threads[run.id] = thread
        file = workflows.read(run.path, self.repository.read(run.head_sha, run.path))
        place = self.runner.first_place(run, file)
        if place and self.protection.guards(place.name):
            self._become(run, "waiting")
        else:
            self._become(run, "in_progress")
            self.announce(run, "in_progress")
        thread.start()

    def _become(self, run: Run, status: str) -> None:
        run.status, run.updated_at = status, now()
        self.store.save(run)

    def _admit(self, run: Run, place: Place) -> str:
        """Wait at the environment's gates. A run that goes on has a runner at once, even past the
        usual number: a sandbox need not queue twice."""
        gates = self.protection.open(run, self.environment(place.name), deploys=place.deploys)
        if not gates:
            return ""
        with self.store.lock:
            self._become(run, "waiting")
        self._fill()
        instead = self.protection.wait(gates, self._cancels[run.id])
        if not instead:
            with self.store.lock:
                self._become(run, "in_progress")
                self.announce(run, "in_progress")
        return instead

    def _work(self, run: Run) -> None:
        try:
            file = workflows.read(run.path, self.repository.read(run.head_sha, run.path))
            conclusion = self.runner.execute(
                run,
                file,
                self.jobs(run),
                self._cancels[run.id],
                lambda place: self._admit(run, place),
                lambda name, state: self.deployments.run_is(run, name, state),
            )
        except Exception:
            logger.exception("run %s", run.id)
            conclusion = "failure"
        with self.store.lock:
            self._threads.pop(run.id)
            self._cancels.pop(run.id)
            self._finish(run, conclusion)
        self._fill()

    def _finish(self, run: Run, conclusion: str) -> None:
        for job in self.jobs(run):
            if job.status != "completed":
                job.status, job.conclusion, job.completed_at = "completed", "cancelled", now()
                for step in job.steps:
                    if step.status != "completed":
                        step.status, step.conclusion = "completed", "cancelled"
                        step.completed_at = now()
                self.store.save(job)
        run.status, run.conclusion, run.updated_at, run.held = "completed", conclusion, now(), False
        self.store.save(run)
        self.announce(run, "completed")

    # -- what people and the product may do to a run ------------------------------------------

    def jobs(self, run: Run, attempt: int | None = None, *, every: bool = False) -> list[Job]:
        """The jobs of one attempt (the newest unless told), or of every attempt."""
        wanted = attempt or run.attempt
        jobs = [job for job in self.store.all(Job) if job.run_id == run.id]
        return [job for job in jobs if every or job.attempt == wanted]

    def attempt(self, run: Run, number: int) -> Run | None:
        """The run as that attempt left it (or has it now), or None."""
        if number == run.attempt:
            return run
        past = self.store.get(PastAttempt, f"{run.id}-{number}")
        return Run(**past.run) if past else None

    def cancel(self, run: Run) -> None:
        """Cancel a run. Raises ConflictError when it is over."""
        with self.store.lock:
            if run.done:
                raise ConflictError("Cannot cancel a workflow run that is completed.")
            self._end(run)
        self._fill()

    def _end(self, run: Run) -> None:
        if event := self._cancels.get(run.id):
            event.set()
        else:
            self._finish(run, "cancelled")

    def rerun(self, run: Run, actor: str) -> None:
        """Run it again: same id, commit and inputs, next attempt. Raises ConflictError."""
        with self.store.lock:
            if not run.done:
                raise ConflictError("This workflow is already running")
            past = PastAttempt(f"{run.id}-{run.attempt}", copy.deepcopy(asdict(run)))
            self.store.save(past)
            run.attempt += 1
            run.status, run.conclusion, run.triggering_actor = "queued", None, actor
            run.started_at = run.updated_at = now()
            run.position = self.store.next_id()
            file = workflows.read(run.path, self.repository.read(run.head_sha, run.path))
            self._enqueue(run, file)

    def release(self) -> None:
        """Let the runs start that a fault held back."""
        with self.store.lock:
            for run in self._unfinished():
                run.held = False
                self.store.save(run)
        self._fill()
