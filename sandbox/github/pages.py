"""The pages behind every ``html_url``, and the page that switches faults."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.github.control import add_run, review, set_fault
from sandbox.github.engine import ConflictError
from sandbox.github.faults import CATALOGUE
from sandbox.github.git import NotFoundError
from sandbox.github.http import Hub
from sandbox.github.processes import MAX_LOG
from sandbox.github.records import Deployment, Job, Run
from sandbox.github.records import Environment as DeploymentEnvironment
from sandbox.github.shapes_repository import number_of
from sandbox.github.workflows import InvalidError

_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
}
_RUNS_SHOWN = 50


class Pages:
    """The pages of one stand-in."""

    def __init__(self, hub: Hub) -> None:
        """Show this stand-in."""
        self.hub = hub
        self.home = f"/{hub.settings.repository}"
        self._jinja = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.globals |= {
            "repository": hub.settings.repository,
            "home": self.home,
            "people": hub.settings.people,
        }

    def routes(self) -> list[Route]:
        """Every page's address."""
        home, act = self.home, "/_sandbox/ui"
        shown: list[tuple[str, Callable[[Request], Response]]] = [
            ("/", lambda request: RedirectResponse(f"{home}/actions", 303)),
            (home, self.overview),
            (f"{home}/actions", self.actions),
            (f"{home}/actions/workflows/{{name}}", self.workflow),
            (f"{home}/actions/runs/{{run_id:int}}", self.run),
            (f"{home}/actions/runs/{{run_id:int}}/attempts/{{attempt:int}}", self.run),
            (f"{home}/actions/runs/{{run_id:int}}/job/{{job_id:int}}", self.run),
            (f"{home}/commit/{{sha}}", self.commit),
            (f"{home}/compare/{{basehead:path}}", self.compare),
            (f"{home}/tree/{{ref}}", self.tree),
            (f"{home}/tree/{{ref}}/{{path:path}}", self.tree),
            (f"{home}/blob/{{ref}}/{{path:path}}", self.blob),
            (f"{home}/raw/{{ref}}/{{path:path}}", self.raw),
            (f"{home}/deployments/{{name}}", self.deployments),
            ("/_sandbox", self.sandbox),
            ("/_sandbox/users/{login}", self.user),
            ("/_sandbox/avatars/{number}", self.avatar),
        ]
        acted: list[tuple[str, Callable[[Request, dict[str, str]], str]]] = [
            (f"{act}/runs/{{run_id:int}}/rerun", self.do_rerun),
            (f"{act}/runs/{{run_id:int}}/cancel", self.do_cancel),
            (f"{act}/runs/{{run_id:int}}/review", self.do_review),
            (f"{act}/dispatch", self.do_dispatch),
            (f"{act}/faults", self.do_fault),
        ]
        return [Route(path, self._shown(page), methods=["GET"]) for path, page in shown] + [
            Route(path, self._acted(action), methods=["POST"]) for path, action in acted
        ]

    def _shown(self, page: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def serve(request: Request) -> Response:
            try:
                response = await run_in_threadpool(page, request)
            except NotFoundError:
                response = self._page("message.html", status=404, message="There is no such page.")
            response.headers.update(_SAFE)
            return response

        return serve

    def _acted(self, action: Callable[[Request, dict[str, str]], str]) -> Callable[[Request], Any]:
        async def serve(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            try:
                return RedirectResponse(await run_in_threadpool(action, request, form), 303)
            except (InvalidError, ConflictError) as error:
                return self._page("message.html", status=422, message=str(error))
            except NotFoundError:
                return self._page("message.html", status=404, message="There is no such thing.")

        return serve

    def _page(self, template: str, status: int = 200, **facts: Any) -> Response:
        return HTMLResponse(self._jinja.get_template(template).render(facts), status)

    def _listing(self, title: str, rows: list[dict[str, str]]) -> Response:
        return self._page("listing.html", title=title, rows=rows)

    def _found(self, request: Request) -> Run:
        run = self.hub.store.get(Run, request.path_params["run_id"])
        if run is None:
            raise NotFoundError
        return run

    # -- pages -------------------------------------------------------------------------------

    def overview(self, request: Request) -> Response:
        """The repository: its newest commits, workflows and environments."""
        repository = self.hub.repository
        shas = repository.log(repository.default_branch)[::-1][:10]
        return self._page(
            "overview.html",
            branch=repository.default_branch,
            commits=[repository.describe(sha) for sha in shas],
            workflows=self.hub.engine.workflows(),
            environments=self.hub.store.all(DeploymentEnvironment),
        )

    def _runs(self, workflow_id: int | None = None) -> list[Run]:
        runs = sorted(self.hub.store.all(Run), key=lambda run: -run.id)
        return [run for run in runs if workflow_id in (None, run.workflow_id)][:_RUNS_SHOWN]

    def actions(self, request: Request) -> Response:
        """The newest runs."""
        workflows = self.hub.engine.workflows()
        return self._page(
            "actions.html", workflows=workflows, runs=self._runs(), workflow=None, file=None
        )

    def workflow(self, request: Request) -> Response:
        """One workflow's runs, with the form that starts it by hand."""
        found = self.hub.engine.find_workflow(request.path_params["name"])
        if found is None:
            raise NotFoundError
        return self._page(
            "actions.html",
            workflows=self.hub.engine.workflows(),
            runs=self._runs(found[0].id),
            workflow=found[0],
            file=found[1],
        )

    def run(self, request: Request) -> Response:
        """A run: what it is, its jobs, their steps and logs."""
        newest = self._found(request)
        number = request.path_params.get("attempt", newest.attempt)
        run = self.hub.engine.attempt(newest, number)
        if run is None:
            raise NotFoundError
        jobs = self.hub.engine.jobs(run, number)
        return self._page(
            "run.html",
            run=run,
            newest=newest,
            jobs=jobs,
            log=self._log,
            gates=self.hub.engine.protection.gates(run, number),
        )

    def _log(self, job: Job, number: int) -> str:
        path = self.hub.engine.runner.log_path(job.steps[number - 1])
        with path.open("rb") as file:
            text = file.read(MAX_LOG).decode(errors="replace")
        for secret in filter(None, self.hub.settings.secrets.values()):
            text = text.replace(secret, "***")
        return text

    def commit(self, request: Request) -> Response:
        """A commit and the files it changed."""
        commit = self.hub.repository.describe(request.path_params["sha"])
        files = self.hub.repository.changes_of(commit)
        return self._page("commit.html", commit=commit, files=files)

    def compare(self, request: Request) -> Response:
        """The commits between two."""
        base, _, head = request.path_params["basehead"].partition("...")
        repository = self.hub.repository
        first, last = repository.resolve(base), repository.resolve(head)
        commits = [repository.describe(sha) for sha in repository.log(f"{first}..{last}")]
        return self._listing(
            f"Comparing {base}...{head}",
            [{"href": f"{self.home}/commit/{c.sha}", "text": c.message} for c in commits],
        )

    def tree(self, request: Request) -> Response:
        """A folder."""
        ref, path = request.path_params["ref"], request.path_params.get("path", "")
        sha = self.hub.repository.resolve(ref)
        words = {"file": "blob", "dir": "tree"}
        return self._listing(
            f"{path or self.hub.settings.repository} at {ref}",
            [
                {"href": f"{self.home}/{words[e.type]}/{ref}/{e.path}", "text": e.path}
                for e in self.hub.repository.entries(sha, path)
            ],
        )

    def _text(self, request: Request) -> str:
        sha = self.hub.repository.resolve(request.path_params["ref"])
        if not self.hub.repository.is_file(sha, request.path_params["path"]):
            raise NotFoundError
        return self.hub.repository.read(sha, request.path_params["path"])

    def blob(self, request: Request) -> Response:
        """A file, shown."""
        text, path = self._text(request), request.path_params["path"]
        return self._page("file.html", path=path, ref=request.path_params["ref"], text=text)

    def raw(self, request: Request) -> Response:
        """A file's text alone."""
        return PlainTextResponse(self._text(request))

    def deployments(self, request: Request) -> Response:
        """An environment's deployments."""
        name = request.path_params["name"]
        found = [d for d in self.hub.store.all(Deployment) if d.environment == name]
        return self._listing(
            f"Deployments to {name}",
            [
                {
                    "href": f"{self.home}/commit/{d.sha}",
                    "text": f"{d.created_at} {d.ref} by {d.creator}: "
                    f"{self.hub.engine.deployments.last_state(d) or 'no status'}",
                }
                for d in reversed(found)
            ],
        )

    def user(self, request: Request) -> Response:
        """An account: what it started."""
        login = request.path_params["login"]
        runs = [run for run in self._runs() if run.actor == login]
        return self._listing(
            f"Runs started by {login}",
            [{"href": f"{self.home}/actions/runs/{r.id}", "text": r.title} for r in runs],
        )

    def avatar(self, request: Request) -> Response:
        """A coloured square."""
        hue = number_of(request.path_params["number"]) % 360
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">'
            f'<rect width="8" height="8" fill="hsl({hue} 50% 50%)"/></svg>'
        )
        return Response(svg, media_type="image/svg+xml")

    def sandbox(self, request: Request) -> Response:
        """Faults, and what was asked and sent lately."""
        return self._page(
            "sandbox.html",
            faults=self.hub.faults.as_json(),
            catalogue=CATALOGUE,
            requests=list(self.hub.requests)[:-41:-1],
            deliveries=list(self.hub.webhooks.deliveries)[:-41:-1],
        )

    # -- buttons -----------------------------------------------------------------------------

    def do_rerun(self, request: Request, form: dict[str, str]) -> str:
        """Run it again."""
        run = self._found(request)
        self.hub.engine.rerun(run, form.get("actor", self.hub.settings.people[0]))
        return f"{self.home}/actions/runs/{run.id}"

    def do_cancel(self, request: Request, form: dict[str, str]) -> str:
        """Cancel it."""
        run = self._found(request)
        self.hub.engine.cancel(run)
        return f"{self.home}/actions/runs/{run.id}"

    def do_review(self, request: Request, form: dict[str, str]) -> str:
        """Approve or reject as one of the environment's required reviewers."""
        run = self._found(request)
        review(self.hub, run, form)
        return f"{self.home}/actions/runs/{run.id}"

    def do_dispatch(self, request: Request, form: dict[str, str]) -> str:
        """Start a workflow by hand, as a person would on GitHub."""
        prefix = "input-"
        given = {k.removeprefix(prefix): v for k, v in form.items() if k.startswith(prefix)}
        inputs = {name: value for name, value in given.items() if value}
        asked = {"workflow": form.get("workflow"), "actor": form.get("actor"), "inputs": inputs}
        return f"{self.home}/actions/runs/{add_run(self.hub, asked)['id']}"

    def do_fault(self, request: Request, form: dict[str, str]) -> str:
        """Switch a fault on or off."""
        options: dict[str, Any] = {name: value for name, value in form.items() if value}
        options["on"] = form.get("on") == "yes"
        set_fault(self.hub, options)
        return "/_sandbox"
