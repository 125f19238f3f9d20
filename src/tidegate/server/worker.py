"""What a worker process is, and how uvicorn is to run one.

``make_app`` is called by uvicorn in each worker, as the first thing there that is ours: it ties the worker to its
parent and to the data folder, and tunes the process, before it makes the application.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import pkgutil
import resource
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from tidegate.asgi import App
from tidegate.server import locks
from tidegate.server.listen import BACKLOG

if TYPE_CHECKING:
    from tidegate.server.front import House
    from tidegate.settings import Settings

logger = logging.getLogger(__name__)

#: Opens the rooms of a worker; by name, so that the parent process need not import them.
HOUSE = "tidegate.server.house:open_house"

# Requests in flight at SIGTERM get this long to finish. Kubernetes kills after 30 s.
GRACEFUL_SECONDS = 25
# Descriptors a worker may have open, if the system allows: each connection and each file of a read or write is one.
MAX_DESCRIPTORS = 65536

# mallopt's numbers (malloc.h). As glibc comes, it gives the buffers of a large PUT back to the system after each piece
# and faults them in again, which costs nearly half of the throughput.
_MALLOPT = {
    -1: 64 * 1024 * 1024,  # M_TRIM_THRESHOLD: keep up to this much free memory at the end of the heap
    -2: 16 * 1024 * 1024,  # M_TOP_PAD: grow it by this much at once
    -3: 32 * 1024 * 1024,  # M_MMAP_THRESHOLD: larger blocks only are mapped on their own; the most that glibc takes
}
# A request makes some hundred objects and hardly a cycle: looking for cycles every 700 objects, as Python comes, is
# work for nothing.
_GC_THRESHOLDS = (50_000, 20, 20)
_PR_SET_PDEATHSIG = 1
_PARENT_POLL_SECONDS = 1.0


class Ready(msgspec.Struct, frozen=True):
    """What a worker tells its parent when requests can come. The key is the administrator's, with its secret, if it has
    just been made.
    """

    pid: int
    new_key: tuple[str, str] | None = None


def configuration(settings: Settings, app: Callable[[], App], log_config: dict[str, Any] | None) -> uvicorn.Config:
    """How uvicorn runs ``app``, which it calls in the worker to get the application."""
    return uvicorn.Config(
        app=app,
        factory=True,
        interface="asgi3",
        loop="uvloop",
        http="tidegate.server.protocol:Protocol",
        ws="none",
        lifespan="on",
        workers=settings.workers,
        log_config=log_config,
        access_log=False,  # ours knows operations and hides secrets
        proxy_headers=False,  # anyone can send X-Forwarded-For
        server_header=False,
        headers=[("server", "Tidegate")],
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        ssl_context_factory=None if settings.tls_cert is None else tls_context,
    )


def tls_context(config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """uvicorn's TLS context, with nothing older than TLS 1.2 whatever the system's policy says."""
    del config
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def make_app(settings: Settings, house: str, metrics: Path, parent: int, ready: Connection) -> App:
    """The application of this process, which becomes a worker for good."""
    try:
        die_with(parent)
        signal.signal(
            signal.SIGHUP, signal.SIG_IGN
        )  # a terminal that goes away tells the parent too, which ends us in order
        membership = locks.join(settings.home)
        _raise_descriptor_limit()
        _tune_allocator()
        return application(settings, house, metrics, on_ready=partial(_report, ready, membership))
    except Exception:
        logger.exception("cannot start a worker")
        sys.exit(STARTUP_FAILURE)


def application(settings: Settings, house: str, metrics: Path, on_ready: Callable[[House], None]) -> App:
    """The application, for a process that is not a worker."""
    from tidegate.server.front import Front  # noqa: PLC0415 - the parent process does not need it
    from tidegate.telemetry.metrics import Metrics  # noqa: PLC0415 - nor this

    return Front(settings, pkgutil.resolve_name(house), Metrics(metrics), on_ready)


def _report(ready: Connection, membership: int, house: House) -> None:
    del membership  # a descriptor: held by being bound to this callback, for as long as the application lives
    # What has been made so far stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        ready.send(Ready(os.getpid(), house.new_key))
    except OSError:  # the parent is gone, and so are we in a moment
        return


def die_with(parent: int) -> None:
    """Makes the kernel kill this process when its parent dies, however that dies: nobody else would end it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tune_allocator() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it; musl and macOS have not
    if mallopt is not None:
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)
