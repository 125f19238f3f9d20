"""What is asked under ``/-/`` by those who watch over a server: is it alive, can it work, how much does it do.

No credentials are needed here, so nothing here tells a name or a secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from tidegate.asgi import OPERATION, Receive, Scope, Send
from tidegate.telemetry.metrics import CONTENT_TYPE, Metrics

logger = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"
# A catalog that takes longer than this to write nothing is of no use to anybody.
READY_SECONDS = 5.0

Answer = tuple[HTTPStatus, str, bytes]
Probe = Callable[[], Awaitable[Answer]]


class Probes:
    """The ASGI application behind ``/-/``. ``check`` raises where the catalog cannot be read and written."""

    def __init__(
        self,
        metrics: Metrics,
        check: Callable[[], Awaitable[None]],
        stats: Callable[[], Awaitable[Mapping[str, int]]],
    ) -> None:
        self._collected = metrics
        self._check = check
        self._stats = stats
        self._probes: dict[bytes, tuple[str, Probe]] = {
            b"/-/healthy": ("Healthy", self._healthy),
            b"/-/ready": ("Ready", self._ready),
            b"/-/metrics": ("Metrics", self._metrics),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        operation, probe = self._probes.get(scope["raw_path"], ("-", None))
        scope[OPERATION] = operation
        status: HTTPStatus
        if probe is None:
            status, kind, body = HTTPStatus.NOT_FOUND, TEXT, b"not found\n"
        elif scope["method"] not in {"GET", "HEAD"}:
            status, kind, body = HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"method not allowed\n"
        else:
            status, kind, body = await probe()
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _healthy(self) -> Answer:
        return HTTPStatus.OK, TEXT, b"ok\n"

    async def _ready(self) -> Answer:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the server cannot do its work
            logger.warning("not ready: %s", type(error).__name__)
            return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"the catalog cannot be read and written\n"
        return HTTPStatus.OK, TEXT, b"ok\n"

    async def _metrics(self) -> Answer:
        try:
            stats = await self._stats()
        except Exception as error:  # noqa: BLE001 - a broken catalog is when the other metrics are wanted most
            logger.warning("no numbers of what is stored: %s", type(error).__name__)
            stats = {}
        self._collected.flush()
        text = await asyncio.to_thread(self._collected.exposition, stats)
        return HTTPStatus.OK, CONTENT_TYPE, text
