"""The FastAPI application: its routes, the OpenAPI description made from their models, and the pages.

`server` runs it over a pool of workers; tests run it over a stand-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

import jinja2
from fastapi import FastAPI, Security
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi.security import HTTPBasic, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from votecast import __version__
from votecast.client.service_responses import BatchResponse, Judges, Prediction, Reranked, ServedLeaderboard
from votecast.serving.auth import Guard
from votecast.serving.middleware import HEALTH, RECORD, STATIC, ServiceMiddleware, http_error
from votecast.serving.rankings import pair_candidates, rank_candidates, rank_games
from votecast.serving.request_errors import (
    DrainingError,
    InvalidRequestError,
    LoadingError,
    UnavailableError,
    UnscoredError,
    json_response,
)
from votecast.serving.request_limits import BodyReader, InFlight, check_media_type, run_while_connected
from votecast.serving.request_validation import parse_body
from votecast.serving.schemas import (
    BatchRequest,
    BattleRequest,
    CompareRequest,
    ErrorResponse,
    Health,
    LeaderboardRequest,
    Ready,
    RerankRequest,
)
from votecast.serving.settings import ServiceSettings
from votecast.serving.telemetry import CONTENT_TYPE, Metrics, RequestLog

if TYPE_CHECKING:
    from votecast.serving.pool import Pool
    from votecast.serving.request_queue import Row

B = TypeVar("B", bound=BaseModel)

_FOLDER: Final = Path(__file__).with_name("static")
# bytes that are parsed in a thread, so that the event loop is not blocked
_LONG_BODY: Final = 1 << 18
_SCORED: Final = {"id", "prompt", "response_a", "response_b", "language", "source"}  # fields that workers read

_LISTS: Final = {"BatchRequest": "battles", "RerankRequest": "candidates", "LeaderboardRequest": "games"}
_STATUSES: Final = {
    400: "The body is not JSON, not UTF-8 or nested too deeply",
    401: "The key is missing or wrong",
    403: "The service has no key and was called by a name other than localhost",
    408: "The body was not complete in time",
    413: "The body is too long",
    415: "The body is not declared as JSON",
    422: "A field is invalid; errors holds the places",
    429: "The service is busy",
    500: "The service failed; see its log",
    503: "The judges are being loaded, the service is shutting down, or workers died",
    504: "The deadline of the request has passed",
}
_OF_POSTS: Final = (400, 408, 413, 415, 422, 429, 500, 503, 504)


def build_app(
    pool: Pool,
    settings: ServiceSettings,
    *,
    key: str | None,
    in_flight: InFlight | None = None,
    metrics: Metrics | None = None,
    log: RequestLog | None = None,
    judges: Sequence[str] = (),
) -> FastAPI:
    """Build the ASGI application over a pool, which the caller starts and stops.

    Args:
        pool: The judges.
        settings: The limits.
        key: The API key of requests; None admits every caller that uses a name of loopback.
        in_flight: Counts the requests in flight.
        metrics: Counts requests.
        log: Writes a line for each request.
        judges: Names of the judges, for the OpenAPI description.
    """
    in_flight, metrics = in_flight or InFlight(settings.in_flight), metrics or Metrics()
    app = FastAPI(
        title="votecast",
        version=__version__,
        description="Predicts how people vote between two responses to a prompt.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.router.redirect_slashes = False
    app.state.routes = Routes(pool, settings, in_flight, metrics)
    _add_routes(app, guarded=key is not None)
    app.add_exception_handler(HTTPException, http_error)

    described = app.openapi()  # and the limits and judges of this service
    schemas = described["components"]["schemas"]
    for name, field in _LISTS.items():
        schemas[name]["properties"][field]["maxItems"] = settings.most[field]
    for name in ("CompareRequest", "BatchRequest", "RerankRequest") if judges else ():
        schemas[name]["properties"]["judge"]["anyOf"][0]["enum"] = list(judges)
    app.openapi = lambda: described  # type: ignore[method-assign]

    # a page of its own, since FastAPI's loads scripts from elsewhere
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True)
    docs = pages.get_template("docs.html.j2").render(api=described)
    app.add_api_route("/docs", lambda: HTMLResponse(docs), include_in_schema=False)
    app.add_api_route("/", lambda: FileResponse(_FOLDER / "index.html"), include_in_schema=False)
    known = {route.path for route in app.routes}  # type: ignore[attr-defined]
    app.mount(STATIC, StaticFiles(directory=_FOLDER))
    app.add_middleware(
        ServiceMiddleware,
        routes=known,
        guard=Guard(key),
        in_flight=in_flight,
        metrics=metrics,
        log=log or RequestLog(None),
    )
    return app


class Routes:
    """The routes of one service; FastAPI takes their summaries from the docstrings."""

    def __init__(self, pool: Pool, settings: ServiceSettings, in_flight: InFlight, metrics: Metrics) -> None:
        self._pool, self._settings, self._in_flight, self._metrics = pool, settings, in_flight, metrics
        self._bodies = BodyReader(settings.body_bytes, settings.timeout)
        # one leaderboard at a time: a fit uses all cores
        self._ranking = ThreadPoolExecutor(1)

    async def compare(self, body: CompareRequest, request: Request) -> object:
        """Predict the vote between two responses."""
        judge = self._choose_judge(body.judge, request, 1)
        try:
            found = await self._pool.predict(judge, [_row(body, 0)], order=body.order, explain=body.explain)
        except UnscoredError as error:
            raise InvalidRequestError({"": error.rows[0]}, "the judge cannot score this") from None
        return found[0]

    async def batch(self, body: BatchRequest, request: Request) -> object:
        """Predict the votes of several battles."""
        judge = self._choose_judge(body.judge, request, len(body.battles))
        rows = [_row(battle, place) for place, battle in enumerate(body.battles)]
        found = await self._pool.predict(judge, rows, order=body.order, explain=body.explain)
        return {"judge": {"name": judge, "hash": self._pool.judges[judge].hash}, "predictions": found}

    async def rerank(self, body: RerankRequest, request: Request) -> object:
        """Rank several responses to one prompt, best first."""
        candidates, pairs = pair_candidates(body, self._settings.body_bytes)
        judge = self._choose_judge(body.judge, request, len(pairs))
        try:
            found = await self._pool.predict(judge, pairs) if pairs else []
        except UnscoredError as error:
            reason = next(iter(error.rows.values()))
            raise InvalidRequestError({"candidates": reason}, "the judge cannot score this") from None
        cited = {"name": judge, "hash": self._pool.judges[judge].hash}
        return rank_candidates(candidates, found) | {"judge": cited}

    async def leaderboard(self, body: LeaderboardRequest, request: Request) -> object:
        """Rank models by votes, or by predictions of votes."""
        request.scope[RECORD].rows = len(body.games)
        return await asyncio.get_running_loop().run_in_executor(self._ranking, rank_games, body)

    async def judges(self) -> Response:
        """List the judges, the default first, and the limits of a request."""
        self._check_ready()
        judges = [judge.to_dict() | {"default": n == 0} for n, judge in enumerate(self._pool.judges.values())]
        return json_response(
            {"judges": judges, "limits": self._settings.most | {"body_bytes": self._settings.body_bytes}}
        )

    async def health(self) -> Response:
        """Check whether the service is running; needs no key."""
        return json_response({"status": "ok", "version": __version__})

    async def ready(self) -> Response:
        """Check whether the service takes requests."""
        self._check_ready()
        workers = self._pool.workers_ready
        if not workers:
            raise UnavailableError
        return json_response({"status": "ready", "workers": workers, "judges": list(self._pool.judges)})

    async def metrics(self) -> Response:
        """Return metrics in the format of Prometheus."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def answer(
        self, request: Request, kind: type[B], endpoint: Callable[[B, Request], Coroutine[object, object, object]]
    ) -> Response:
        """Answer a POST within the limits of the service."""
        scope, receive, settings = request.scope, request.receive, self._settings
        self._check_ready()
        check_media_type(scope["headers"])
        self._in_flight.check()
        data = await self._bodies.read(receive, scope["headers"])
        # places are for requests that are whole: bodies that never come must not fill them
        with self._in_flight.admit():
            if len(data) < _LONG_BODY:
                body = parse_body(kind, data, settings.most)
            else:
                body = await asyncio.to_thread(parse_body, kind, data, settings.most)
            return json_response(await run_while_connected(endpoint(body, request), receive, settings.timeout))

    def _choose_judge(self, name: str | None, request: Request, rows: int) -> str:
        """Return the judge of a request, and note it for the log."""
        judges = self._pool.judges
        found = next(iter(judges)) if name is None else name
        if found not in judges:
            message = f"this service has no judge of that name; allowed are {', '.join(judges)}"
            raise InvalidRequestError({"judge": message})
        request.scope[RECORD].judge, request.scope[RECORD].rows = found, rows
        return found

    def _check_ready(self) -> None:
        if self._pool.state != "ready":
            raise LoadingError if self._pool.state == "loading" else DrainingError


def _row(body: BattleRequest, place: int) -> Row:
    """Return the fields that workers read; the id defaults to the place."""
    row = body.model_dump(include=_SCORED, exclude_none=True)
    return row if body.id else row | {"id": str(place)}


class BodyRoute(APIRoute):
    """A route whose body is read within the limits of the service."""

    # FastAPI's own handler reads any number of bytes, for any time

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return what answers a request; FastAPI calls this."""
        endpoint, kind = self.endpoint, get_type_hints(self.endpoint)["body"]

        async def handle(request: Request) -> Response:
            """Answer a request within the limits."""
            response: Response = await request.app.state.routes.answer(request, kind, endpoint)
            return response

        return handle


def _add_routes(app: FastAPI, *, guarded: bool) -> None:
    """Register the routes with their models, from which FastAPI makes the OpenAPI description."""
    routes: Routes = app.state.routes
    # for the description alone: the middleware checks the key
    schemes = HTTPBearer(scheme_name="bearer", auto_error=False), HTTPBasic(scheme_name="basic", auto_error=False)
    security: list[Depends] = [Security(scheme) for scheme in schemes] if guarded else []
    refusal = 401 if guarded else 403
    for path, endpoint, model in (
        ("/v1/compare", routes.compare, Prediction),
        ("/v1/compare/batch", routes.batch, BatchResponse),
        ("/v1/rerank", routes.rerank, Reranked),
        ("/v1/leaderboard", routes.leaderboard, ServedLeaderboard),
        ("/v1/judges", routes.judges, Judges),
        (HEALTH, routes.health, Health),
        ("/ready", routes.ready, Ready),
        ("/metrics", routes.metrics, None),
    ):
        is_post = "body" in get_type_hints(endpoint)
        statuses = [500] if path == HEALTH else [refusal, 500] if model is None else [refusal, 500, 503]
        app.router.add_api_route(
            path,
            endpoint,
            methods=["POST" if is_post else "GET"],
            response_model=model,
            response_class=JSONResponse if model else PlainTextResponse,
            responses=_errors({*statuses, *(_OF_POSTS if is_post else ())}),
            route_class_override=BodyRoute if is_post else None,
            dependencies=security if path != HEALTH else [],
        )


def _errors(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of error responses."""
    seconds = {"description": "Seconds to wait", "required": True, "schema": {"type": "integer", "minimum": 1}}
    return {
        status: {"model": ErrorResponse, "description": _STATUSES[status]}
        | ({"headers": {"Retry-After": seconds}} if status in (429, 503) else {})
        for status in sorted(statuses)
    }
