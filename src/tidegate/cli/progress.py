"""Progress bars: on a terminal, for work that takes long enough to be looked at, and gone when it is done."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Literal

from tidegate.cli.failures import Failure

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Work that is over by then needs no bar.
SHOW_AFTER_SECONDS: Final = 1.0

Unit = Literal["bytes", "objects"]


class Bar:
    """How far some work is. May be advanced from several threads."""

    def __init__(self, what: str, total: int | None, unit: Unit, stack: ExitStack, *, is_wanted: bool) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._stack = stack
        self._is_wanted = is_wanted
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self._done = 0
        self.is_cancelled = False
        self._shown: tuple[Progress, TaskID] | None = None

    def cancel(self) -> None:
        """Nobody wants the rest: whoever advances next is told."""
        self.is_cancelled = True

    def advance(self, by: int) -> None:
        """So much more is done. Raises ``Failure`` where the work was cancelled."""
        if self.is_cancelled:
            raise Failure("interrupted")
        if self._is_wanted:
            with self._lock:
                self._at(self._done + by)

    def reach(self, done: int) -> None:
        """So much is done in all."""
        if self._is_wanted:
            with self._lock:
                self._at(done)

    def expect(self, total: int | None) -> None:
        """So much is to be done, where that was not known before."""
        if self._total is None:
            self._total = total

    def _at(self, done: int) -> None:
        self._done = done
        if self._shown is None and time.monotonic() - self._since >= SHOW_AFTER_SECONDS:
            self._shown = self._show()
        if self._shown is not None:
            bar, task = self._shown
            bar.update(task, completed=done, total=self._total)

    def _show(self) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        amount = (DownloadColumn(binary_units=True), TransferSpeedColumn()) if self._unit == "bytes" else ()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), *(amount or (MofNCompleteColumn(),)))
        bar = Progress(*columns, TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True)
        self._stack.enter_context(bar)
        return bar, bar.add_task(self._what, total=self._total)


@contextmanager
def bar(what: str, total: int | None, unit: Unit, *, wanted: bool | None = None) -> Iterator[Bar]:
    """A bar for some work. ``wanted`` None is: where somebody looks at it."""
    is_wanted = sys.stderr.isatty() if wanted is None else wanted
    with ExitStack() as stack:
        yield Bar(what, total, unit, stack, is_wanted=is_wanted)
