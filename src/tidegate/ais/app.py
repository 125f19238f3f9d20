"""The door as an ASGI application: routes, authentication once for all of them, errors in one place."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate import errors
from tidegate.ais import absent, authn, buckets, cluster, faults, objects
from tidegate.ais.call import Call
from tidegate.asgi import ACCESS_KEY, ERROR, OPERATION, REQUEST_ID
from tidegate.model import ANONYMOUS, EVERYONE, Principal
from tidegate.telemetry import failures

if TYPE_CHECKING:
    from tidegate.gateway import Gateway
    from tidegate.settings import Settings

logger = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[Response]]

ROOT = "/v1/"

# Method, path, handler. The operation that metrics and the access log show is the handler's name.
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    *cluster.ROUTES,
    *buckets.ROUTES,
    *objects.ROUTES,
    *authn.ROUTES,
    *absent.ROUTES,
)
# What anybody may ask for: how the server is, and a token.
OPEN: frozenset[Handler] = frozenset({cluster.health, authn.login})


def create(gateway: Gateway, settings: Settings) -> ASGIApp:
    """The door, for a gateway that stays open as long as it is used."""
    return Door(gateway, authenticates=settings.auth)


class Door:
    """The application."""

    def __init__(self, gateway: Gateway, *, authenticates: bool) -> None:
        self._gateway = gateway
        self._authenticates = authenticates
        self._routes: dict[str, list[tuple[Route, Handler]]] = {}  # by the service that a path names
        for method, path, handler in ROUTES:
            self._routes.setdefault(_service(path), []).append((_route(method, path), handler))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        request_id = scope[REQUEST_ID] = failures.new_request_id()

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        request = Request(scope, receive)
        try:
            response = await self._answer(scope, request)
            await response(scope, receive, watched)
        except (errors.ClientDisconnected, ClientDisconnect):
            return
        except Exception as error:
            if not started or failures.is_known(error):  # else who breaks the connection tells
                names = request.path_params
                failures.log(logger, error, request_id, names.get("bucket"), names.get("key"), has_started=started)
            if started:
                raise  # the connection breaks: what was sent so far must not look complete
            known = error if isinstance(error, errors.Error) else errors.Error()
            scope[ERROR] = known.code
            await faults.response(request, known)(scope, receive, send)

    async def _answer(self, scope: Scope, request: Request) -> Response:
        try:
            scope["raw_path"].decode("ascii")
            if "\ufffd" in scope["path"]:
                raise errors.InvalidURI
        except UnicodeDecodeError:
            raise errors.InvalidURI from None
        handler = self._route(scope)
        scope[OPERATION] = f"ais.{handler.__name__}"
        principal = await self._authenticate(scope, request, handler)
        return await handler(Call(self._gateway, request, principal))

    def _route(self, scope: Scope) -> Handler:
        """The handler of a method and path; sets the scope's path parameters."""
        known = False
        for route, handler in self._routes.get(_service(scope["path"]), ()):
            match, child = route.matches(scope)
            if match is Match.FULL:
                scope.update(child)
                return handler
            known = known or match is Match.PARTIAL
        if known:
            raise errors.MethodNotAllowed
        raise errors.NotImplementedByServer(f"{scope['method']} {scope['path']} is not implemented")

    async def _authenticate(self, scope: Scope, request: Request, handler: Handler) -> Principal:
        """Who is asking. Once, before anything is done with the request. Raises ``Unauthorized``."""
        if not self._authenticates:
            return EVERYONE
        if handler in OPEN:
            return ANONYMOUS
        principal = await self._gateway.accounts.authenticate(request.headers.getlist("authorization"))
        scope[ACCESS_KEY] = principal.name
        return principal


def _service(path: str) -> str:
    """``buckets`` of ``/v1/buckets/abc``."""
    return path[len(ROOT) :].partition("/")[0]


def _route(method: str, path: str) -> Route:
    """A route for one method: Starlette's would answer HEAD by what answers GET."""
    route = Route(path, _nothing)
    route.methods = {method}
    return route


async def _nothing(request: Request) -> Response:
    raise NotImplementedError(request)
