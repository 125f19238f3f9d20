"""The parent process: binds the sockets, starts the workers, replaces those that die, and ends them in good order.

It serves no request and opens no room, so that nothing a request does can bring it down.
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import ExitStack, closing, suppress
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tidegate.server import locks, worker
from tidegate.server.kept import with_kept
from tidegate.server.listen import CannotListenError, listen, port_of
from tidegate.server.pool import Pool, Stop, WorkerStartError, stop_signals
from tidegate.server.ready import announcement, endpoints
from tidegate.server.worker import HOUSE
from tidegate.telemetry import folder, logs

if TYPE_CHECKING:
    from tidegate.settings import Settings


class StartError(Exception):
    """Why a server does not start, in one line."""


def run(settings: Settings, house: str = HOUSE) -> None:
    """Serves until SIGTERM or SIGINT. Raises StartError."""
    check_certificate(settings)
    try:
        with ExitStack() as stack:
            lock, settings = _take_folder(settings, stack)
            settings = with_kept(settings)
            check_certificate(settings)
            stop = stack.enter_context(stop_signals())
            sockets, settings = open_sockets(settings, stack)
            metrics = stack.enter_context(folder.shared(settings.workers))
            lock.write(locks.Owner(os.getpid(), endpoints(settings)))
            _serve(settings, house, sockets, metrics, stop)
    except (locks.InUseError, CannotListenError) as error:
        raise StartError(str(error)) from None
    except WorkerStartError:
        raise StartError("a worker could not start; its log lines say why") from None


def _take_folder(settings: Settings, stack: ExitStack) -> tuple[locks.ServerLock, Settings]:
    """Makes the data folders ours."""
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = msgspec.structs.replace(settings, data=tuple(folder.resolve() for folder in settings.data))
        lock = stack.enter_context(locks.hold(settings.home))
    except OSError as error:
        raise StartError(f"cannot use the data folder {settings.home}: {error}") from None
    for further in settings.data[1:]:
        with suppress(OSError):  # one that is not there, for its disk is broken, must not keep the others from serving
            further.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(locks.hold(further))
    return lock, settings


def open_sockets(settings: Settings, stack: ExitStack) -> tuple[list[socket.socket], Settings]:
    """Listening sockets, which ``stack`` closes, and the settings with the ports they really have."""
    main = stack.enter_context(closing(listen(settings.host, settings.port)))
    settings = msgspec.structs.replace(settings, port=port_of(main))
    if settings.repos_port is None:
        return [main], settings
    try:
        repos = stack.enter_context(closing(listen(settings.host, settings.repos_port)))
    except CannotListenError as error:
        raise CannotListenError(f"{error}. --repos-port takes another port, 0 for a free one, or off") from None
    return [main, repos], msgspec.structs.replace(settings, repos_port=port_of(repos))


def check_certificate(settings: Settings) -> None:
    """Raises StartError unless certificate and key can be read and belong together."""
    if settings.tls_cert is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")  # never ask on a terminal
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "unreadable"
        raise StartError(f"cannot use the certificate {settings.tls_cert} with {settings.tls_key}: {reason}") from None


def _serve(settings: Settings, house: str, sockets: list[socket.socket], metrics: Path, stop: Stop) -> None:
    incoming, outgoing = Pipe(duplex=False)
    with incoming, outgoing:
        app = partial(worker.make_app, settings, house, metrics, os.getpid(), outgoing)
        pool = Pool(worker.configuration(settings, app, logs.configuration(settings)), sockets, incoming, stop)
        try:
            messages = pool.wait_until_ready()
            if messages:
                new_key = next((message.new_key for message in messages if message.new_key is not None), None)
                with suppress(OSError):  # whoever started the server need not listen to it
                    print("\n".join(announcement(settings, new_key)), flush=True)  # noqa: T201 - what callers wait for
                pool.keep()
        finally:
            for sock in sockets:
                sock.close()  # whoever connects now is refused at once
            pool.end()
