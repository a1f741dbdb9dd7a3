"""The web application: the REST API, the pages and the sandbox's switches."""

import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.github import api_actions, api_deployments, api_repository, logs
from sandbox.github.control import Control
from sandbox.github.engine import Engine
from sandbox.github.faults import Faults
from sandbox.github.git import Repository
from sandbox.github.http import API_ROOT, DOCS, Hub, Limiter, endpoint
from sandbox.github.pages import Pages
from sandbox.github.records import Run, Store
from sandbox.github.settings import REPOSITORY_ID, Settings
from sandbox.github.webhooks import Webhooks

logger = logging.getLogger(__name__)

_ENTERPRISE = "/api/v3"  # where a GitHub Enterprise Server has its API


def build_hub(settings: Settings) -> Hub:
    """The parts of a stand-in, its repository up to date with the example folder."""
    settings.data.mkdir(parents=True, exist_ok=True)
    repository = Repository(settings.data / "repositories" / f"{settings.repository}.git")
    repository.import_folder(settings.source)
    store, faults = Store(settings.data / "github.sqlite3"), Faults()
    webhooks = Webhooks(settings, faults)

    def announce(run: Run, action: str) -> None:
        shapes = hub.shapes(settings.public_url, settings.public_url)
        found = hub.engine.find_workflow(str(run.workflow_id))
        if found:
            payload = shapes.run_webhook(run, action, shapes.workflow(*found))
            webhooks.send("workflow_run", payload)

    def ask(run: Run, environment: str) -> None:
        shapes = hub.shapes(settings.public_url, settings.public_url)
        deployment = hub.engine.deployments.of_run(run, environment)
        payload = shapes.protection_rule_webhook(run, environment, deployment)
        webhooks.send("deployment_protection_rule", payload)

    engine = Engine(settings, store, repository, faults, announce, ask)
    limiter = Limiter(settings.rate_limit)
    hub = Hub(settings, store, repository, engine, faults, webhooks, limiter, deque(maxlen=1000))
    return hub


class Border:
    """Around the application: which hosts and origins may ask, and GitHub's other addresses.

    The API can start programs, so a web page elsewhere must not reach it through somebody's
    browser: the host is checked (DNS rebinding) and a foreign ``Origin`` is refused.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Guard ``app``."""
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or rewrite the path and pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Request(scope).headers
        host = headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in self.settings.allowed_hosts:
            await PlainTextResponse("Unknown host", 400)(scope, receive, send)
            return
        if urlsplit(headers.get("origin", f"//{host}")).netloc != host:
            await PlainTextResponse("Cross-origin request refused", 403)(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith(f"{_ENTERPRISE}/"):
            scope[API_ROOT] = _ENTERPRISE
            path = path.removeprefix(_ENTERPRISE)
        numbered = f"/repositories/{REPOSITORY_ID}"
        if path == numbered or path.startswith(f"{numbered}/"):
            path = f"/repos/{self.settings.repository}{path.removeprefix(numbered)}"
        await self.app({**scope, "path": path}, receive, send)


async def _not_found(request: Request, error: Exception) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return PlainTextResponse("404: the sandbox has no such page", 404)
    logger.warning("no such address: %s %s", request.method, request.url.path)
    return JSONResponse({"message": "Not Found", "documentation_url": DOCS, "status": "404"}, 404)


def create_app(settings: Settings) -> ASGIApp:
    """A stand-in for GitHub with one repository. It starts and stops with the ASGI lifespan."""
    hub = build_hub(settings)
    pages, control = Pages(hub), Control(hub)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        hub.webhooks.start()
        hub.engine.start()
        yield
        hub.engine.stop()
        hub.webhooks.stop()
        hub.store.close()

    repo = f"/{settings.repository}"
    rest = [
        *((m, f"/repos{repo}{p}", h) for m, p, h in api_repository.ROUTES),
        *((m, f"/repos{repo}{p}", h) for m, p, h in api_actions.ROUTES),
        *((m, f"/repos{repo}{p}", h) for m, p, h in api_deployments.ROUTES),
        *api_repository.ACCOUNT_ROUTES,
    ]
    switches = f"/_sandbox/repos{repo}"
    routes = [
        *(Route(path, endpoint(hub, handler), methods=[method]) for method, path, handler in rest),
        Route(f"{switches}/commits", control.commits, methods=["POST"]),
        Route(f"{switches}/runs", control.runs, methods=["POST"]),
        Route(f"{switches}/runs/{{run_id:int}}/gates", control.gates),
        Route(f"{switches}/runs/{{run_id:int}}/{{verb}}", control.run, methods=["POST"]),
        Route(f"{switches}/environments/{{name}}", control.environment, methods=["POST"]),
        Route(logs.PATH, logs.endpoint(hub)),
        Route("/_sandbox/faults", control.faults, methods=["GET", "POST"]),
        Route("/_sandbox/rate_limit", control.rate_limit, methods=["POST"]),
        Route("/_sandbox/requests", control.requests, methods=["GET", "DELETE"]),
        Route("/_sandbox/deliveries", control.deliveries),
        Route("/_sandbox/deliveries/{guid}/redeliver", control.redeliver, methods=["POST"]),
        *pages.routes(),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _not_found})
    app.state.hub = hub
    return Border(app, settings)
