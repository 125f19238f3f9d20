"""The parent process: binds the sockets, starts the workers, replaces those that die, and ends them in good order.

It serves no request and opens no room, so that nothing a request does can bring it down. The workers and how they start are
uvicorn's (``uvicorn.supervisors.multiprocess``); the loop is ours because it wakes at once for a signal or a death, and because a
worker that cannot start again must not end the others.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from tidegate.server import locks, worker
from tidegate.server.listen import CannotListenError, listen, port_of
from tidegate.server.ready import announcement, endpoints
from tidegate.server.worker import HOUSE, Ready
from tidegate.telemetry import folder, logs

if TYPE_CHECKING:
    from tidegate.settings import Settings

logger = logging.getLogger(__name__)

# How often the workers are asked whether they still run. Signals and deaths are seen at once.
POLL_SECONDS = 1.0
# After a worker was replaced: one that dies at its start does not keep the machine busy with being started.
RESTART_PAUSE_SECONDS = 1.0
# A worker that has not ended this long after its requests were cut off is killed.
END_SECONDS = 5.0


class StartError(Exception):
    """Why a server does not start, in one line."""


def run(settings: Settings, house: str = HOUSE) -> None:
    """Serves until SIGTERM or SIGINT. Raises StartError."""
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = msgspec.structs.replace(settings, data=settings.data.resolve())
        check_certificate(settings)
        with locks.hold(settings.data) as lock, ExitStack() as stack:
            if lock.previous is not None and lock.previous.metrics:
                folder.remove(Path(lock.previous.metrics))
            sockets, settings = open_sockets(settings, stack)
            metrics = folder.make(settings.workers)
            stack.callback(folder.remove, metrics)
            lock.write(locks.Owner(os.getpid(), endpoints(settings), str(metrics)))
            _serve(settings, house, sockets, metrics)
    except (locks.InUseError, CannotListenError) as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"cannot use the data folder {settings.data}: {error}") from None


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


def _serve(settings: Settings, house: str, sockets: list[socket.socket], metrics: Path) -> None:
    incoming, outgoing = Pipe(duplex=False)
    with incoming, outgoing, _wakeups() as woken:
        app = partial(worker.make_app, settings, house, metrics, os.getpid(), outgoing)
        workers = Multiprocess(worker.configuration(settings, app, logs.configuration(settings)), sockets)
        workers.init_processes()
        try:
            messages = _start(workers, incoming, woken)
            if messages:
                new_key = next((message.new_key for message in messages if message.new_key is not None), None)
                print("\n".join(announcement(settings, new_key)), flush=True)  # noqa: T201 - what callers wait for
                _keep(workers, incoming, woken)
        finally:
            for sock in sockets:
                sock.close()  # whoever connects now is refused at once
            _end(workers, woken)


def _start(workers: Multiprocess, incoming: Connection, woken: socket.socket) -> list[Ready]:
    """Waits until every worker is ready, and returns what they said; nothing where a signal came first.

    Raises StartError where one cannot start.
    """
    messages: list[Ready] = []
    while len(messages) < len(workers.processes):
        _wait(workers, woken, incoming)
        workers.handle_signals()
        if workers.should_exit.is_set():
            return []
        while incoming.poll():
            messages.append(incoming.recv())
        if not all(process.process.is_alive() for process in workers.processes):
            raise StartError("a worker could not start; its log lines say why")
    return messages


def _keep(workers: Multiprocess, incoming: Connection, woken: socket.socket) -> None:
    """Replaces workers that die or hang, until a signal ends it."""
    while not workers.should_exit.is_set():
        _wait(workers, woken, incoming)
        while incoming.poll():
            incoming.recv()  # a new worker is ready, and nobody waits for it
        workers.handle_signals()
        if not workers.should_exit.is_set() and _replace_dead(workers):
            wait([woken], RESTART_PAUSE_SECONDS)


def _wait(workers: Multiprocess, woken: socket.socket, incoming: Connection) -> None:
    wait([woken, incoming, *(process.process.sentinel for process in workers.processes)], POLL_SECONDS)
    _drain(woken)


def _replace_dead(workers: Multiprocess) -> bool:
    replaced = False
    for index, process in enumerate(workers.processes):
        if process.is_alive(workers.config.timeout_worker_healthcheck):
            continue
        process.kill()  # it may only hang
        process.process.join()
        logger.warning("worker %s ended (%s); starting another", process.pid, _how(process.exitcode))
        workers.processes[index] = fresh = Process(workers.config, workers.sockets)
        fresh.start()
        replaced = True
    return replaced


def _end(workers: Multiprocess, woken: socket.socket) -> None:
    """Lets the workers finish their requests within a bound. A SIGINT meanwhile ends them at once."""
    for process in workers.processes:
        process.terminate()
    deadline = time.monotonic() + worker.GRACEFUL_SECONDS + END_SECONDS
    while alive := [process.process for process in workers.processes if process.process.is_alive()]:
        left = deadline - time.monotonic()
        wait([woken, *(process.sentinel for process in alive)], max(left, 0))
        _drain(woken)
        if left <= 0 or signal.SIGINT in workers.signal_queue:
            for process in alive:
                logger.warning("worker %s did not end in time", process.pid)
                process.kill()
            break
    for ended in workers.processes:
        ended.process.join()


@contextmanager
def _wakeups() -> Iterator[socket.socket]:
    """A socket that becomes readable when a signal arrives, so that no poll has to pass first."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(previous)


def _drain(woken: socket.socket) -> None:
    try:
        woken.recv(4096)
    except BlockingIOError:
        pass


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
