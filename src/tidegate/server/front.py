"""The one ASGI application of a worker: refuses what no door should see, finds the door, and takes down what happened.

Every request comes through here, so nothing is done for those that do not need it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from tidegate.asgi import ACCESS_KEY, ERROR, IS_REPOS, OPERATION, REQUEST_ID, App, Message, Receive, Scope, Send
from tidegate.s3.target import bucket_of_host
from tidegate.server import guard
from tidegate.server.probes import Probes
from tidegate.server.refusal import refuse
from tidegate.telemetry import access
from tidegate.telemetry.failures import new_request_id
from tidegate.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from tidegate.settings import Settings

logger = logging.getLogger(__name__)

# nginx's number for a client that left before it was answered.
CLIENT_LEFT = 499
SERVER_FAULT = 500

# Doors of their own beside S3's, by the first three bytes of a path. No bucket is hidden: its name has three characters
# or more.
PROBES = b"/-/"
AIS = b"/v1"
API = b"/v2"
_DOOR = 3


class House(msgspec.Struct, frozen=True):
    """The rooms behind the front, opened.

    ``check`` raises unless the catalog can be read and written. ``new_key`` is the administrator's access key and
    secret, where they have just been made.
    """

    s3: App
    ais: App
    api: App
    check: Callable[[], Awaitable[None]]
    stats: Callable[[], Awaitable[Mapping[str, int]]]
    new_key: tuple[str, str] | None = None


OpenHouse = Callable[["Settings"], AbstractAsyncContextManager[House]]


class Front:
    """The application. ``on_ready`` is told when the rooms are open and requests can come."""

    def __init__(
        self, settings: Settings, open_house: OpenHouse, metrics: Metrics, on_ready: Callable[[House], None]
    ) -> None:
        self._settings = settings
        self._open_house = open_house
        self._metrics = metrics
        self._on_ready = on_ready
        self._domains = settings.domains
        self._repos_port = settings.repos_port
        self._has_access_log = settings.access_log
        self._s3: App = _not_open
        self._doors: dict[bytes, App] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._live(receive, send)
            return
        started = perf_counter()
        exchange = Exchange(send)
        body: guard.Body | None = None
        try:
            fields = dict(scope["headers"])
            error = guard.fault(scope, fields)
            if error is not None:
                scope[ERROR], scope[REQUEST_ID] = error.code, new_request_id()
                await refuse(error, scope[REQUEST_ID], exchange.send)
                return
            if scope["server"][1] == self._repos_port:
                scope[IS_REPOS] = True
            body = guard.body(fields, receive, send)
            if body is not None:
                receive = body.receive
                exchange.target = body.send
            path = scope["raw_path"]
            door = self._doors.get(path[:_DOOR])
            if door is not None and b"/" not in (path[_DOOR - 1 : _DOOR], path[_DOOR : _DOOR + 1] or b"/"):
                door = None  # a bucket whose name begins like a door's
            if door is None or bucket_of_host(fields[b"host"].decode("ascii"), self._domains) is not None:
                door = self._s3
            await door(scope, receive, exchange.send)
        except BaseException:
            exchange.status = exchange.status or SERVER_FAULT
            raise
        finally:
            seconds = perf_counter() - started
            operation = scope.get(OPERATION, "-")
            status = exchange.status or CLIENT_LEFT
            self._metrics.count(operation, status, seconds, 0 if body is None else body.received, exchange.sent)
            if self._has_access_log:
                _log(scope, operation, status, exchange.sent, seconds)

    async def _live(self, receive: Receive, send: Send) -> None:
        """ASGI's lifespan: opens the rooms, keeps them open, closes them."""
        await receive()
        async with AsyncExitStack() as stack:
            stack.callback(self._metrics.close)
            self._metrics.begin()
            try:
                house = await stack.enter_async_context(self._open_house(self._settings))
            except Exception as error:
                logger.exception("cannot open %s", self._settings.home)
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
            self._s3 = house.s3
            self._doors = {AIS: house.ais, API: house.api, PROBES: Probes(self._metrics, house.check, house.stats)}
            await send({"type": "lifespan.startup.complete"})
            self._on_ready(house)
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


class Exchange:
    """The way out of a request, and what went that way."""

    __slots__ = ("sent", "status", "target")

    def __init__(self, target: Send) -> None:
        self.target = target
        self.status = 0
        self.sent = 0

    def send(self, message: Message) -> Awaitable[None]:
        self.status = message.get("status", self.status)
        self.sent += len(message.get("body", b""))
        return self.target(message)


async def _not_open(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise RuntimeError("a request came before the rooms were open")


def _log(scope: Scope, operation: str, status: int, sent: int, seconds: float) -> None:
    client = scope["client"]
    access.log(
        access.Request(
            remote=client[0] if client else "-",
            request_id=scope.get(REQUEST_ID, "-"),
            access_key=scope.get(ACCESS_KEY, "-"),
            operation=operation,
            method=scope["method"],
            path=scope["raw_path"],
            query=scope["query_string"],
            status=status,
            error=scope.get(ERROR, "-"),
            sent=sent,
            seconds=seconds,
            agent=next((value for name, value in scope["headers"] if name == b"user-agent"), b"-"),
        )
    )
