"""Doing in one go what several tasks ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tidegate.gateway.remote.together import Together


def test_what_is_asked_for_together_is_done_at_once() -> None:
    """Each gets what came of their own; what is asked for while something is done is done next, in one go too."""
    calls: list[list[int]] = []

    async def do(items: Sequence[int]) -> Sequence[int]:
        calls.append(list(items))
        await asyncio.sleep(0.01)
        return [item * 2 for item in items]

    async def story() -> None:
        together = Together(do, 0)
        first = [asyncio.create_task(together.ask(number)) for number in range(3)]
        while not calls:  # noqa: ASYNC110 - an event would be one more thing to get wrong
            await asyncio.sleep(0)
        assert await asyncio.gather(*(together.ask(number) for number in (3, 4))) == [6, 8]
        assert await asyncio.gather(*first) == [0, 2, 4]
        assert await together.ask(5) == 10
        assert calls == [[0, 1, 2], [3, 4], [5]]

    asyncio.run(story())


def test_all_hear_of_an_error() -> None:
    """It is that of the call, and the next one is another matter."""
    is_broken = True

    async def do(items: Sequence[int]) -> Sequence[int]:
        if is_broken:
            raise RuntimeError("broken")
        return items

    async def story() -> None:
        nonlocal is_broken
        together = Together(do, 0)
        outcomes = await asyncio.gather(*(together.ask(number) for number in range(3)), return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["broken"] * 3
        is_broken = False
        assert await together.ask(1) == 1

    asyncio.run(story())


def test_who_goes_away_takes_nobody_with_them() -> None:
    """What they asked for is done, and the others hear of theirs."""
    done: list[int] = []

    async def do(items: Sequence[int]) -> Sequence[int]:
        done.extend(items)
        return items

    async def story() -> None:
        together = Together(do, 0)
        tasks = [asyncio.create_task(together.ask(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert [await tasks[0], await tasks[2]] == [0, 2]
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert done == [0, 1, 2]

    asyncio.run(story())
