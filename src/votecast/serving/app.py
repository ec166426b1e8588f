"""The application: all routes behind one gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from votecast import __version__
from votecast.serving.documentation import documentation
from votecast.serving.gate import Gate, http_error
from votecast.serving.keys import Guard
from votecast.serving.limits import Doors
from votecast.serving.logs import Log, NoLog
from votecast.serving.metrics import Metrics
from votecast.serving.openapi import description
from votecast.serving.operations import OPERATIONS
from votecast.serving.pages import read_pages
from votecast.serving.routes import Routes
from votecast.serving.settings import ServiceSettings

if TYPE_CHECKING:
    from votecast.serving.pool import Pool


def build_app(
    pool: Pool,
    settings: ServiceSettings,
    *,
    key: str | None,
    doors: Doors | None = None,
    metrics: Metrics | None = None,
    log: Log | None = None,
    judges: Sequence[str] = (),
) -> FastAPI:
    """The ASGI application over a pool, which whoever calls this starts and stops.

    Args:
        pool: The judges at work.
        settings: What is allowed.
        key: What requests must bring; None lets in whoever calls the service by a name of loopback.
        doors: How many are inside.
        metrics: What is counted.
        log: Is told of every request.
        judges: Names of the judges, for the description of the routes.
    """
    doors, metrics = doors or Doors(settings.in_flight), metrics or Metrics()
    routes = Routes(pool, settings, doors, metrics)
    told = description(settings, guarded=key is not None, judges=judges)
    app = FastAPI(title="votecast", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    for each in OPERATIONS:
        app.add_route(each.path, getattr(routes, each.name), methods=[each.method], include_in_schema=False)
    pages = read_pages() | documentation(told)
    for path, page in pages.items():
        app.add_route(path, page.answer, methods=["GET"], include_in_schema=False)
    app.openapi = lambda: told  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, http_error)
    known = {*(each.path for each in OPERATIONS), *pages}
    app.add_middleware(Gate, routes=known, guard=Guard(key), doors=doors, metrics=metrics, log=log or NoLog())
    return app
