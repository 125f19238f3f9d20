"""The worker processes, as their parent sees them: started, watched, replaced, ended.

How a worker is spawned and answers a ping is uvicorn's (``uvicorn.supervisors.multiprocess.Process``). The loop is
ours: it never blocks on one worker, wakes at once for a signal or a death, and does not let a worker that cannot come
back end the others.
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from uvicorn.supervisors.multiprocess import Process

from tidegate.server.worker import GRACEFUL_SECONDS, Ready

if TYPE_CHECKING:
    from types import FrameType

    import uvicorn

logger = logging.getLogger(__name__)

# How often a worker is asked whether it still runs. Signals and deaths are seen at once.
PING_SECONDS = 1.0
# A worker whose interpreter does not answer for this long hangs, and is replaced. A new one may take longer on a busy
# machine.
HUNG_SECONDS = 10.0
START_SECONDS = 60.0
# After a worker was replaced: one that dies at its start does not keep the machine busy with being started.
RESTART_PAUSE_SECONDS = 1.0
# A worker that has not ended this long after its requests were cut off is killed.
END_SECONDS = 5.0

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class WorkerStartError(Exception):
    """A worker ended before it was ready."""


class Stop:
    """The wish to stop, by SIGTERM, SIGINT or a terminal that is gone, and a socket that wakes whoever waits."""

    def __init__(self, woken: socket.socket) -> None:
        self.woken = woken
        self.received: list[int] = []

    def note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received.append(number)

    @property
    def is_urgent(self) -> bool:
        """Whether somebody who has asked before presses Ctrl-C."""
        return signal.SIGINT in self.received[1:]

    def drain(self) -> None:
        """Makes the socket wake again at the next signal."""
        with suppress(BlockingIOError):
            self.woken.recv(4096)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Takes note of signals that ask to stop, instead of dying by them.

    To be used in the main thread of a process that ends after it: from then on they are ignored, so that one more does
    not spoil the exit code.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.settimeout(0)
        writer.settimeout(0)
        stop = Stop(reader)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        # What is ignored already stays so, such as SIGHUP under nohup.
        numbers = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in numbers:
            signal.signal(number, stop.note)
        try:
            yield stop
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)


class _Worker:
    """A worker process and what is known of it."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self._process = Process(config, sockets)
        self._process.start()
        self.spawned = self._process.process
        self.answers = self._process.parent_conn
        self._asked = -math.inf  # when it was last asked
        self._has_answered = True
        self._patience = START_SECONDS

    def ask(self) -> None:
        """Sends a ping, unless one is on its way or the last one was just now."""
        now = time.monotonic()
        if self._has_answered and now - self._asked >= PING_SECONDS:
            self._asked, self._has_answered = now, False
            try:
                self.answers.send(b"ping")
            except OSError:  # its death is about to be seen
                return

    def hear(self) -> None:
        """Takes the answer, if it is there."""
        try:
            if self.answers.poll():
                self.answers.recv()
                self._has_answered = True
                self._patience = HUNG_SECONDS
        except (OSError, EOFError):
            return

    @property
    def has_ended(self) -> bool:
        return not self.spawned.is_alive()

    @property
    def hangs(self) -> bool:
        return not self._has_answered and time.monotonic() - self._asked > self._patience

    def terminate(self) -> None:
        """Asks it to finish its requests and end."""
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self.spawned.join()


class Pool:
    """The workers of a server. ``incoming`` is where they say that they are ready."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], incoming: Connection, stop: Stop) -> None:
        self._config = config
        self._sockets = sockets
        self._incoming = incoming
        self._stop = stop
        self._workers = [_Worker(config, sockets) for _ in range(config.workers)]

    def wait_until_ready(self) -> Sequence[Ready]:
        """Returns what the workers said when each was ready; nothing where a signal to stop came first.

        Raises WorkerStartError where one ends before.
        """
        messages: list[Ready] = []
        while len(messages) < len(self._workers):
            self._wait(PING_SECONDS)
            if self._stop.received:
                return []
            while self._incoming.poll():
                messages.append(self._incoming.recv())
            if any(worker.has_ended for worker in self._workers):
                raise WorkerStartError
        return messages

    def keep(self) -> None:
        """Replaces workers that die or hang, until a signal to stop comes."""
        while not self._stop.received:
            for worker in self._workers:
                worker.ask()
            self._wait(PING_SECONDS)
            for worker in self._workers:
                worker.hear()
            while self._incoming.poll():
                self._incoming.recv()  # a new worker is ready, and nobody waits for it
            if not self._stop.received and self._replace():
                wait([self._stop.woken], RESTART_PAUSE_SECONDS)

    def end(self) -> None:
        """Lets the workers finish their requests, within a bound. Another signal that is SIGINT ends them at once."""
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + GRACEFUL_SECONDS + END_SECONDS
        while alive := [worker for worker in self._workers if not worker.has_ended]:
            left = deadline - time.monotonic()
            if left <= 0 or self._stop.is_urgent:
                for worker in alive:
                    logger.warning("worker %s did not end in time", worker.spawned.pid)
                    worker.kill()
                return
            wait([self._stop.woken, *(worker.spawned.sentinel for worker in alive)], left)
            self._stop.drain()

    def _wait(self, seconds: float) -> None:
        """Until something happens, or for so long."""
        answers = [worker.answers for worker in self._workers]
        sentinels = [worker.spawned.sentinel for worker in self._workers]
        wait([self._stop.woken, self._incoming, *answers, *sentinels], seconds)
        self._stop.drain()

    def _replace(self) -> bool:
        """Whether there was something to do."""
        for worker in [worker for worker in self._workers if worker.has_ended or worker.hangs]:
            how = _how(worker.spawned.exitcode)
            worker.kill()
            self._workers.remove(worker)
            logger.warning("worker %s %s; starting another", worker.spawned.pid, how)
        missing = self._config.workers - len(self._workers)
        try:
            for _ in range(missing):
                self._workers.append(_Worker(self._config, self._sockets))
        except OSError as error:  # no memory, too many processes: the others go on, and it is tried again
            logger.warning("cannot start a worker: %s", error)
        return missing > 0


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "hung and was killed"
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
