"""The fills of one process: who began them, who waits for them, and their leases.

A reader that finds a chunk leased waits here. What happens in this process wakes it at once; what happens in another is
looked for in the catalog, once for all who wait for the same object.

Nothing that a fill takes down in the catalog waits for the disk: what a power cut takes is asked for again.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import secrets
from collections.abc import Coroutine
from functools import partial
from typing import Final

from tidegate import errors
from tidegate.catalog import fills
from tidegate.catalog.fills import Lease
from tidegate.clock import SECOND, now
from tidegate.gateway.rooms import Rooms

logger = logging.getLogger(__name__)

# How long a lease counts, and how often it is renewed. A process that is stopped for longer loses what it was filling,
# and nothing else; one that was killed is waited for as long, unless the whole server was started again.
LEASE: Final = 10 * SECOND
RENEW_SECONDS: Final = 3.0
# Between two looks at what another process fills. A chunk takes some 80 ms at 100 MB/s.
POLL_SECONDS: Final = 0.05
# Who waits looks again after this, whatever happened: a lease may have run out.
WAIT_SECONDS: Final = 1.0

_OWNER_SIZE: Final = 12
# These say nothing to others who wait for the object.
_PRIVATE: Final = (errors.RemoteChanged, errors.InvalidRange)

Name = tuple[int, str]


class Fills:
    """To be made and used on one event loop. ``started`` is when the server began to work on the folder, in
    microseconds: leases of before are those of processes that are gone.
    """

    def __init__(self, rooms: Rooms, started: int = 0) -> None:
        self.rooms = rooms
        self._started = started
        self._tasks: set[asyncio.Task[None]] = set()
        self._leases: dict[bytes, int] = {}  # owner to partial
        self._renewing: asyncio.Task[None] | None = None
        self._watches: dict[Name, _Watch] = {}
        self._completing: set[int] = set()

    # --- leases ------------------------------------------------------------------------------------------------------

    @property
    def over(self) -> int:
        """Leases that end now or before are over."""
        return max(now(), self._started + LEASE)

    def lease(self, owner: bytes) -> Lease:
        """What an owner asks for now."""
        return Lease(owner, now() + LEASE, self.over)

    def new_owner(self) -> bytes:
        return secrets.token_bytes(_OWNER_SIZE)

    def hold(self, owner: bytes, partial_id: int) -> None:
        """Renews an owner's leases of a partial from now on."""
        self._leases[owner] = partial_id
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="leases of fills")

    async def let_go(self, owner: bytes, *, has_leases: bool = True) -> None:
        """Ends an owner's leases, if any are left."""
        partial_id = self._leases.pop(owner, None)
        if partial_id is not None and has_leases:
            try:
                give_up = partial(fills.give_up, partial=partial_id, owner=owner, now=now())
                await self.rooms.catalog.write(give_up, durable=False)
            except errors.Error as error:  # then they run out
                logger.warning("leases could not be given up: %s", error.message)

    async def end(
        self, name: Name, owner: bytes, failure: errors.Error | None = None, *, has_leases: bool = True
    ) -> None:
        """Ends a fill. Whoever waits now hears of a failure, and nobody who comes later: the owner, who may come again,
        is told when the leases are free.
        """
        self.tell(name, None if isinstance(failure, _PRIVATE) else failure)
        await self.let_go(owner, has_leases=has_leases)
        self.tell(name)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            leases = [(partial_id, owner) for owner, partial_id in self._leases.items()]
            if not leases:
                self._renewing = None
                return
            try:
                renew = partial(fills.renew, leases=leases, until=now() + LEASE)
                await self.rooms.catalog.write(renew, durable=False)
            except errors.Error as error:  # a disk that is full now may have room the next time
                logger.warning("leases could not be renewed: %s", error.message)

    # --- waiting -----------------------------------------------------------------------------------------------------

    async def wait(self, name: Name) -> None:
        """Returns when something may have changed for who waits for an object.

        Raises what came of it where a fill of this process has failed meanwhile.
        """
        watch = self._watches.get(name)
        if watch is None:
            watch = self._watches[name] = _Watch()
            self._spawn(self._look(name, watch))
        await watch.event.wait()
        if watch.error is not None:
            raise copy.copy(watch.error)

    def tell(self, name: Name, error: errors.Error | None = None) -> None:
        """Wakes all who wait for an object."""
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.error = error
            watch.event.set()

    async def _look(self, name: Name, watch: _Watch) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + WAIT_SECONDS
        try:
            before = await self.rooms.catalog.read(lambda tx: fills.state(tx, *name))
            while clock() < end and not watch.event.is_set():
                await asyncio.sleep(POLL_SECONDS)
                if await self.rooms.catalog.read(lambda tx: fills.state(tx, *name)) != before:
                    break
        finally:
            if self._watches.get(name) is watch:
                del self._watches[name]
            watch.event.set()

    # --- tasks -------------------------------------------------------------------------------------------------------

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Has a fill done, whoever goes away."""
        self._spawn(work)

    def begin_completion(self, partial_id: int, work: Coroutine[None, None, None]) -> None:
        """Has a partial of which nothing is missing made an object, unless that is being done."""
        if partial_id in self._completing:
            work.close()
            return
        self._completing.add(partial_id)
        self._spawn(work).add_done_callback(lambda _: self._completing.discard(partial_id))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a fill failed", exc_info=error)

    async def close(self) -> None:
        """Breaks off what is under way. Chunks that are complete stay."""
        tasks = [*self._tasks, *([self._renewing] if self._renewing is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Watch:
    """What some readers wait for together."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.error: errors.Error | None = None
