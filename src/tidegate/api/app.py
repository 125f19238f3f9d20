"""The door as an ASGI application: routes, authentication once for all of them, parsing, errors in one place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate import errors
from tidegate.api import faults
from tidegate.api.call import BINDING, MAX_BODY, MAX_OPEN_BODY, Call, as_json, has_body, parse_query, read_body
from tidegate.api.routes import Route, Router
from tidegate.api.table import ROUTES
from tidegate.asgi import ACCESS_KEY, ERROR, OPERATION, REQUEST_ID
from tidegate.model import ANONYMOUS, EMPTY, EVERYONE, Principal
from tidegate.telemetry import failures

if TYPE_CHECKING:
    from tidegate.gateway import Gateway
    from tidegate.settings import Settings

logger = logging.getLogger(__name__)

# What anybody may quote who asks about a request. A browser is never to guess what a file is.
_REQUEST_ID_HEADER: Final = b"x-request-id"
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")


def create(gateway: Gateway, settings: Settings) -> ASGIApp:
    """The door, for a gateway that stays open as long as it is used."""
    return Door(gateway, authenticates=settings.auth)


class Door:
    """The application."""

    def __init__(self, gateway: Gateway, *, authenticates: bool) -> None:
        self._gateway = gateway
        self._authenticates = authenticates
        self._router = Router(ROUTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        request_id = scope[REQUEST_ID] = failures.new_request_id()

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [
                    *message["headers"], (_REQUEST_ID_HEADER, request_id.encode()), _NO_SNIFFING
                ]  # fmt: skip
            await send(message)

        request = Request(scope, receive)
        names: Mapping[str, str] = EMPTY
        try:
            route, names = self._router.find(scope["method"], scope["raw_path"])
            scope[OPERATION] = f"api.{route.name}"
            response = await self._answer(route, request, names)
            await response(scope, receive, watched)
        except (errors.ClientDisconnected, ClientDisconnect):
            return
        except Exception as error:
            if not started or failures.is_known(error):  # else who breaks the connection tells
                failures.log(logger, error, request_id, *_about(names), has_started=started)
            if started:
                raise  # the connection breaks: what was sent so far must not look complete
            known = error if isinstance(error, errors.Error) else errors.Error()
            scope[ERROR] = faults.code_of(known)
            await faults.response(known, names, request_id)(scope, receive, watched)

    async def _answer(self, route: Route, request: Request, names: Mapping[str, str]) -> Response:
        principal = await self._authenticate(route, request)
        _refuse_conditions(route, request)
        call = Call(self._gateway, request, principal, names)
        arguments: dict[str, object] = {}
        query: msgspec.Struct = parse_query(request.scope["query_string"], route.query)
        if route.takes_query:
            arguments["query"] = query
        if route.body is not None:
            limit = MAX_OPEN_BODY if route.is_open else MAX_BODY
            arguments["body"] = await read_body(request, route.body, limit)
        elif has_body(request) and not route.takes_content:
            raise errors.InvalidRequest(f"{request.method} takes no body here")
        value = await route.handler(call, **arguments)
        if isinstance(value, Response):
            return value
        return Response(status_code=route.status) if value is None else as_json(value, route.status)

    async def _authenticate(self, route: Route, request: Request) -> Principal:
        """Who is asking. Once, before anything is done with the request. Raises ``Unauthorized``."""
        if not self._authenticates:
            return EVERYONE
        if route.is_open:
            return ANONYMOUS
        principal = await self._gateway.accounts.authenticate(request.headers.getlist("authorization"))
        request.scope[ACCESS_KEY] = principal.name
        return principal


def _refuse_conditions(route: Route, request: Request) -> None:
    """Raises ``InvalidRequest`` for a condition that would not be looked at, or words that would not be kept."""
    if route.method == "GET":
        return
    read = {header.name.lower() for header in route.headers}
    for name in BINDING:
        if name in request.headers and name not in read:
            raise errors.InvalidRequest(f"the header {name} is not for {route.method} {route.path}")


def _about(names: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Which state of which repository, and which file, a request is about."""
    if "repo" not in names:
        return None, None
    return f"{names['project']}/{names['repo']}@{names.get('ref') or names.get('branch', '')}", names.get("path")
