"""Doing in one go what several tasks ask for at about the same time, where it is each go that costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """``do`` is called with what was asked for since it was called last, and returns what came of each. Between two
    calls, and before the first, it waits for ``nap`` seconds for more to come.
    """

    def __init__(self, do: Callable[[Sequence[T]], Awaitable[Sequence[R]]], nap: float) -> None:
        self._do = do
        self._nap = nap
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._doing: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """What comes of an item. It is done also for who is cancelled meanwhile. Raises as ``do``, as all with it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._doing is None:
            self._doing = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._nap)
                batch, self._waiting = self._waiting, []
                await self._deal_with(batch)
        finally:
            self._doing = None

    async def _deal_with(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            outcomes = await self._do([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, who asked is to hear of it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
