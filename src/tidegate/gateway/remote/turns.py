"""Turns at a key of somebody else's bucket, and what may be trusted while one is taken.

A write of a remote takes its turn: it takes down its intent, durably, before it touches the remote, and ends it in the
transaction that takes down what came of it. Nobody else writes the key meanwhile, in any process. A turn that was
broken off, by an error whose meaning is not known or by a crash, leaves a doubt.

Whoever is about to trust what is cached of a key asks ``settled`` first. While there is an intent or a doubt, that asks
the remote, and removes what is not the remote's. Readers never wait for writers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from tidegate import errors
from tidegate.catalog import fills, intents, versions
from tidegate.catalog.abc import Driver, Reader, Transaction
from tidegate.catalog.intents import Claim, Intent
from tidegate.clock import SECOND, now
from tidegate.gateway.remote.upstreams import Upstreams
from tidegate.model import Bucket, Version

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject

# How long an intent counts, and how often it is renewed. A process that is stopped for longer loses its turn, which it
# finds out when it ends it; one that crashed is waited for as long.
LEASE: Final = 6 * SECOND
RENEW_SECONDS: Final = 1.5
# How long a write waits for its turn. Clients wait 60 s for an answer, and try again when they are asked to.
WAIT_SECONDS: Final = 30.0
# Between two looks at a turn that another process has: less than most remotes take for a request.
POLL_SECONDS: Final = 0.05
# For how long a request that got no answer may still arrive at the remote: as long as we would have waited for it.
ARRIVES: Final = 30 * SECOND


# Raises where the write may not be.
Check = Callable[[Transaction], None]


class Turn:
    """A write's turn at a key. It is ``is_begun`` before the remote is touched. ``settle`` is called in the transaction
    that takes down what came of it; when that is committed it is ``is_settled``.
    """

    def __init__(self, bucket: Bucket, key: str, owner: str, before: Intent | None) -> None:
        self.log = bucket.log
        self.key = key
        self.owner = owner
        self.before = before
        self.is_begun = False
        self.is_settled = False

    def settle(self, tx: Transaction) -> bool:
        """Ends the turn with an outcome that is known. Returns False where it was lost: then others may have written
        the key since, and what came of ours says nothing of what is there now.

        What somebody did before us may still arrive at the remote, and take the place of ours: that stays a doubt.
        """
        if self.before is not None and self.before.until > now():
            return intents.doubt(tx, self.log, self.key, self.owner, self.before.until)
        return intents.settle(tx, self.log, self.key, self.owner)


class Turns:
    """The turns that one process takes. To be made and used on one event loop."""

    def __init__(self, catalog: Driver, upstreams: Upstreams) -> None:
        self._catalog = catalog
        self._upstreams = upstreams
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._queues: dict[tuple[int, str], _Queue] = {}
        self._endings: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def take(self, bucket: Bucket, key: str, check: Check) -> AsyncIterator[Turn]:
        """A turn at a key. ``check`` raises, in the transaction that takes it down, where it may not be.

        A turn that has begun and is not settled ends with a doubt, unless an error says for sure that the remote's
        object is what it was. Raises ``SlowDown`` where others do not let us have a turn.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS) as limit:
                queue = await self._line_up(bucket.log, key)
                try:
                    turn = await self._claim(bucket, key, check)
                except BaseException:
                    self._leave(queue)
                    raise
                limit.reschedule(None)
        except TimeoutError:
            raise errors.SlowDown(f"{bucket.identity.uri}/{key}: too many writes of this object are waiting") from None
        keeping = asyncio.create_task(self._keep(turn))
        try:
            yield turn
        except BaseException as error:
            await self._finish(self._end(turn, error))
            raise
        else:
            if not turn.is_settled:
                await self._finish(self._end(turn, None))
        finally:
            keeping.cancel()
            self._leave(queue)

    async def settled(self, bucket: Bucket, key: str) -> None:
        """Returns when what is cached of a key, and what there is of a partial fill, may be trusted at this moment.

        Raises as ``Upstream.head`` where that has to be asked of the remote, but for ``NoSuchKey``.
        """
        seen = await self._catalog.read(lambda tx: intents.find(tx, bucket.log, key))
        if seen is not None:
            await self._validate(bucket, key, seen)

    async def close(self) -> None:
        """Waits for what is being taken down of turns that were broken off."""
        await asyncio.gather(*self._endings, return_exceptions=True)

    # --- turns -------------------------------------------------------------------------------------------------------

    async def _line_up(self, log: int, key: str) -> _Queue:
        """Waits for the other writes of this process, in the order in which they came."""
        name = (log, key)
        queue = self._queues.setdefault(name, _Queue(name))
        queue.length += 1
        try:
            await queue.lock.acquire()
        except BaseException:
            queue.length -= 1
            if not queue.length:
                del self._queues[name]
            raise
        return queue

    def _leave(self, queue: _Queue) -> None:
        queue.lock.release()
        queue.length -= 1
        if not queue.length:
            del self._queues[queue.name]

    async def _claim(self, bucket: Bucket, key: str, check: Check) -> Turn:
        owner = f"{self._process}-{next(self._numbers)}"

        def claim(tx: Transaction) -> Claim:
            check(tx)
            moment = now()
            return intents.claim(tx, bucket.log, key, owner, moment, moment + LEASE)

        while True:
            try:
                outcome = await self._catalog.write(claim)
            except BaseException:
                # Not known whether it was taken down: then it is nobody's, rather than ours until it runs out.
                await self._finish(self._doubt(bucket.log, key, owner, now()))
                raise
            if outcome.is_taken:
                return Turn(bucket, key, owner, outcome.before)
            await asyncio.sleep(random.uniform(POLL_SECONDS / 2, POLL_SECONDS))  # noqa: S311 - jitter, not a secret

    async def _keep(self, turn: Turn) -> None:
        """Renews an intent until it is cancelled, or lost."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(errors.Error):  # a disk that is full now may have room the next time
                until = now() + LEASE
                renew = partial(intents.renew, log=turn.log, key=turn.key, owner=turn.owner, until=until)
                if not await self._catalog.write(renew):
                    return

    async def _end(self, turn: Turn, error: BaseException | None) -> None:
        if turn.is_settled:
            return
        if (isinstance(error, _UNCHANGED) or not turn.is_begun) and turn.before is None:
            with contextlib.suppress(errors.Error):
                await self._catalog.write(turn.settle)
            return
        # A refusal may be the answer to a second try, of which the first was heard and its answer lost.
        is_refusal = isinstance(error, errors.Error) and not error.is_ours
        until = now() + (0 if is_refusal else ARRIVES)
        earlier = 0 if turn.before is None else turn.before.until
        await self._doubt(turn.log, turn.key, turn.owner, max(until, earlier))

    async def _doubt(self, log: int, key: str, owner: str, until: int) -> None:
        with contextlib.suppress(errors.Error):  # then it runs out, which means the same
            await self._catalog.write(partial(intents.doubt, log=log, key=key, owner=owner, until=until))

    async def _finish(self, ending: Coroutine[None, None, None]) -> None:
        """Takes down how a turn ended, also where who had it has been cancelled."""
        task = asyncio.create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        await asyncio.shield(task)

    # --- trust -------------------------------------------------------------------------------------------------------

    async def _validate(self, bucket: Bucket, key: str, seen: Intent) -> None:
        """Removes what is cached of a key and is not the remote's. Ends a doubt that has lasted long enough."""
        log = bucket.log
        version, begun = await self._catalog.read(lambda tx: (_cached(tx, bucket, key), fills.find(tx, log, key)))
        remote: RemoteObject | None = None
        if version is not None or begun is not None:
            with contextlib.suppress(errors.NoSuchKey):
                async with self._upstreams.use(bucket) as upstream:
                    remote = await upstream.head(key)
        is_over = seen.until <= now()
        is_stale = version is not None and not agrees(version, remote)
        # Who is just asking the remote may have heard of what was there before the write.
        is_unsure = begun is not None and (remote is None or begun.etag != remote.etag)
        is_unsure = is_unsure and (is_over or bool(begun and begun.etag))
        if not (is_over or is_stale or is_unsure):
            return

        def clear(tx: Transaction) -> None:
            current = _cached(tx, bucket, key)
            if is_stale and version is not None and current is not None and current.seq == version.seq:
                versions.delete(tx, bucket, key, now())
            if is_unsure and begun is not None:
                fills.drop(tx, begun.id, now())
            if is_over:
                intents.clear(tx, log, key, seen)

        await self._catalog.write(clear)


# What a remote refuses, and has not done: nothing has to be asked again.
_UNCHANGED: Final = (errors.PreconditionFailed, errors.ConditionalRequestConflict)
_DEFAULTS: Final = frozenset((("content-type", "binary/octet-stream"), ("content-type", "application/octet-stream")))


class _Queue:
    """The writes of one key in this process."""

    def __init__(self, name: tuple[int, str]) -> None:
        self.name = name
        self.lock = asyncio.Lock()
        self.length = 0


def agrees(version: Version, remote: RemoteObject | None) -> bool:
    """Whether a cached object is, for sure, what the remote has."""
    if remote is None or not remote.etag:
        return False
    attributes = version.attributes
    known = attributes.source[1] if attributes.source else ""
    return (
        (version.etag, version.size) == (remote.etag, remote.size)
        and (not known or not remote.version_id or known == remote.version_id)
        and attributes.metadata == remote.metadata
        and _said(attributes.headers) == _said(remote.headers)
    )


def _said(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers without the content type that a remote tells of what was written without one."""
    return {name: value for name, value in headers.items() if (name, value) not in _DEFAULTS}


def _cached(tx: Reader, bucket: Bucket, key: str) -> Version | None:
    try:
        return versions.get(tx, bucket, key)
    except errors.NoSuchKey:
        return None
