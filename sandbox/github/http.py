"""What every REST call shares: sign-in, faults, rate limit, ETag, pages, errors, a record."""

import hashlib
import json
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from sandbox.github.engine import ConflictError, Engine
from sandbox.github.faults import Faults
from sandbox.github.git import NotFoundError, Repository
from sandbox.github.records import Run, Store, Token
from sandbox.github.settings import REPOSITORY_ID, Settings
from sandbox.github.shapes import Shapes
from sandbox.github.webhooks import Webhooks
from sandbox.github.workflows import InvalidError

DOCS = "https://docs.github.com/rest"
MAX_LISTED = 1000  # GitHub: a filtered list of runs stops there
API_ROOT = "sandbox.api_root"  # the key in an ASGI scope: "" or "/api/v3"
TRANSPORT = "sandbox.transport"  # the key in an ASGI scope: the connection, to cut it

Item = TypeVar("Item")


class ApiError(Exception):
    """An answer that is not a success: its status, GitHub's message, more headers."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """Keep what the answer will say."""
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


@dataclass
class Reply:
    """A handler's answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Limiter:
    """The hourly budget of requests."""

    limit: int
    used: int = 0
    reset: int = 0

    def refresh(self) -> None:
        """Begin a new hour when the old one is over."""
        if time.time() >= self.reset:
            self.used, self.reset = 0, int(time.time()) + 3600

    def headers(self) -> dict[str, str]:
        """The budget as GitHub's headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Used": str(self.used),
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Resource": "core",
        }


@dataclass
class Hub:
    """The parts of one stand-in, handed to every handler."""

    settings: Settings
    store: Store
    repository: Repository
    engine: Engine
    faults: Faults
    webhooks: Webhooks
    limiter: Limiter
    requests: deque[dict[str, Any]]

    def shapes(self, api: str, html: str) -> Shapes:
        """Answers whose links begin with these addresses."""
        return Shapes(self.settings, self.repository, api, html)


@dataclass
class Call:
    """One request to the REST API."""

    hub: Hub
    request: Request
    raw: bytes
    login: str
    shapes: Shapes

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object sent. Raises ApiError 400 when it is none."""
        try:
            body = json.loads(self.raw or b"{}")
        except ValueError:
            raise ApiError(400, "Problems parsing JSON") from None
        if body is not None and not isinstance(body, dict):
            raise ApiError(400, "Body should be a JSON object")
        return body or {}

    def param(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return str(self.request.query_params.get(name, default))

    def only(self, *allowed: str) -> dict[str, Any]:
        """The body, refused with 422 when it has a field not allowed (as GitHub.com does)."""
        if extra := [name for name in self.body if name not in allowed]:
            names = ", ".join(f'"{name}"' for name in extra)
            verb = "are" if len(extra) > 1 else "is"
            raise ApiError(422, f"Invalid request.\n\n{names} {verb} not a permitted key.")
        return self.body

    def run(self) -> Run:
        """The run that the path names. Raises ApiError 404."""
        key = self.param("run_id")
        run = self.hub.store.get(Run, int(key)) if key.isdigit() else None
        if run is None:
            raise ApiError(404, "Not Found")
        return run

    def size(self, default: int = 30, most: int = 100) -> int:
        """How many things a page shall have, ``per_page``."""
        return min(most, max(1, _integer(self.query("per_page"), default)))

    def number(self) -> int:
        """Which page is asked for, from 1."""
        return max(1, _integer(self.query("page"), 1))

    def page(
        self,
        items: list[Item],
        show: Callable[[Item], Any],
        key: str = "",
        total: int | None = None,
    ) -> Reply:
        """One page of a list, with ``Link``; under ``key`` beside a total when GitHub does so."""
        size, number = self.size(), self.number()
        last = max(1, -(-len(items) // size))
        rels = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
        wanted = ["prev", "first"] if number > 1 else []
        wanted += ["next", "last"] if number < last else []
        links = [f'<{self._page_url(rels[rel])}>; rel="{rel}"' for rel in wanted]
        shown = [show(item) for item in items[(number - 1) * size : number * size]]
        count = len(items) if total is None else total
        body: Any = {"total_count": count, key: shown} if key else shown
        return Reply(body=body, headers={"Link": ", ".join(links)} if links else {})

    def _page_url(self, number: int) -> str:
        query = dict(parse_qsl(self.request.url.query)) | {"page": str(number)}
        return f"{self.shapes.api}{self.request.url.path}?{urlencode(query)}"


Handler = Callable[[Call], Reply]


def _integer(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def _error(error: ApiError) -> Reply:
    body = {"message": error.message, "documentation_url": DOCS, "status": str(error.status)}
    return Reply(error.status, body, error.headers)


def sign_in(hub: Hub, request: Request) -> str:
    """The login behind the request's token. Raises ApiError 401."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "token") or not token:
        raise ApiError(401, "Requires authentication")
    if token == hub.settings.token:
        return hub.settings.login
    known = hub.store.get(Token, hashlib.sha256(token.encode()).hexdigest())
    if known and known.expires > time.time():
        return hub.settings.login
    if token.count(".") == 2 and request.url.path.startswith("/app"):
        return hub.settings.login  # any App's JWT: the sandbox has no App's key to check it with
    raise ApiError(401, "Bad credentials")


def _struck_before(call: Call) -> None:
    """Raise what a switched-on fault answers before anything is done."""
    faults, path, shapes = call.hub.faults, call.request.url.path, call.shapes
    if (limit := faults.strike("rate_limited", path)) is not None:
        headers = {}
        if limit["retry_after"] is not None:
            message = "You have exceeded a secondary rate limit."
            headers["Retry-After"] = str(limit["retry_after"])
        else:
            message = "API rate limit exceeded."
            headers["X-RateLimit-Remaining"] = "0"
            headers["X-RateLimit-Reset"] = str(int(time.time() + float(limit["reset"])))
        raise ApiError(int(limit["status"]), message, headers)
    if faults.strike("error_before", path) is not None:
        raise ApiError(502, "Server Error")
    if faults.strike("redirect", path) is not None:
        tail = path.split("/", 4)[4] if path.count("/") >= 4 else ""
        target = f"{shapes.api}/repositories/{REPOSITORY_ID}/{tail}"
        raise ApiError(307, "Moved Permanently", {"Location": target})
    if faults.strike("unprocessable", path) is not None:
        raise ApiError(422, "Validation Failed")


def _struck_after(call: Call, reply: Reply) -> Reply | None:
    """What a switched-on fault makes of a success; None: no answer at all."""
    faults, path = call.hub.faults, call.request.url.path
    if reply.status >= 300:
        return reply
    if faults.strike("drop_after_accept", path) is not None:
        return None
    if faults.strike("error_after_accept", path) is not None:
        return _error(ApiError(502, "Server Error"))
    return reply


def _answer(handler: Handler, call: Call) -> Reply | None:
    try:
        call.login = sign_in(call.hub, call.request)
        limiter = call.hub.limiter
        limiter.refresh()
        if limiter.used >= limiter.limit and call.request.url.path != "/rate_limit":
            raise ApiError(403, "API rate limit exceeded.")
        _struck_before(call)
        return _struck_after(call, handler(call))
    except ApiError as error:
        return _error(error)
    except NotFoundError:
        return _error(ApiError(404, "Not Found"))
    except InvalidError as error:
        return _error(ApiError(422, str(error)))
    except ConflictError as error:
        return _error(ApiError(409, str(error)))


def _response(call: Call, reply: Reply) -> Response:
    """The HTTP answer: 304 for a known ETag (free of charge), the budget's headers, an id."""
    request, limiter = call.request, call.hub.limiter
    content = b"" if reply.body is None else json.dumps(reply.body).encode()
    headers = {
        "X-GitHub-Request-Id": uuid.uuid4().hex[:24].upper(),
        "X-GitHub-Media-Type": "github.v3; format=json",
        "X-GitHub-Api-Version-Selected": request.headers.get("x-github-api-version", "2022-11-28"),
    }
    status = reply.status
    if request.method == "GET" and status == 200:
        etag = f'W/"{hashlib.sha256(content).hexdigest()}"'
        headers |= {"ETag": etag, "Cache-Control": "private, max-age=60, s-maxage=60"}
        if etag in _tags(request.headers.get("if-none-match", "")):
            status, content = 304, b""
    if status != 304 and request.url.path != "/rate_limit":
        limiter.used += 1
    headers |= limiter.headers() | reply.headers
    if content:
        headers["Content-Type"] = "application/json; charset=utf-8"
    return Response(content, status, headers)


def _tags(header: str) -> Iterable[str]:
    return [tag if tag.startswith("W/") else f"W/{tag}" for tag in header.split(", ") if tag]


def endpoint(hub: Hub, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler as a web endpoint, with everything of this module around it."""

    async def serve(request: Request) -> Response:
        html = f"{request.url.scheme}://{request.headers['host']}"
        shapes = hub.shapes(html + request.scope.get(API_ROOT, ""), html)
        call = Call(hub, request, await request.body(), "", shapes)
        reply = await run_in_threadpool(_answer, handler, call)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        seen = {"method": request.method, "path": path, "status": None, "at": time.time()}
        hub.requests.append(seen)
        if reply is None:
            # The connection is cut; the answer below then goes nowhere.
            request.scope[TRANSPORT].abort()
            return Response(status_code=502)
        response = _response(call, reply)
        seen["status"] = response.status_code
        return response

    return serve
