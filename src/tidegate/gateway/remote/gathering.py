"""Bringing many objects here that nobody waits to read, with as little work for each as can be.

What is small enough to be kept in the catalog is read whole, and it is transactions that such an object costs: so many
of them are opened in one, and many that have arrived are kept in one. They are the openings of ``catalog.fills``, so
readers wait for them, and a write that comes between ends them. A larger object becomes a fill. Whatever is not as
simple is fetched one by one, as ``fetching`` does: what somebody is reading or writing, and what is here in part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import msgspec

from tidegate import errors
from tidegate.catalog import fills, intents
from tidegate.catalog.abc import Transaction
from tidegate.catalog.versions import Draft
from tidegate.clock import now
from tidegate.gateway.receive import inline
from tidegate.gateway.remote import cached
from tidegate.gateway.remote.fetching import bring, fetch
from tidegate.gateway.remote.reading import Reads
from tidegate.gateway.remote.together import Together
from tidegate.model import Bucket

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject

# What has arrived waits this long for more to be kept with it: half of a near remote's answer.
NAP_SECONDS: Final = 0.01


class _Opening(msgspec.Struct, eq=False):
    """An object that is to be opened for an owner, who may go away meanwhile."""

    bucket: Bucket
    key: str
    owner: bytes
    is_wanted: bool = True


class _Arrival(msgspec.Struct, frozen=True, eq=False):
    """An object that has arrived, and the opening that it was read under."""

    opening: _Opening
    partial: int
    draft: Draft


class Gathering:
    """Fetches objects, ``at_once`` of them at the same time. Others may be asked for meanwhile: they are leased ahead,
    so that nobody waits for a transaction between two reads of the remote.
    """

    def __init__(self, reads: Reads, at_once: int) -> None:
        self._reads = reads
        self._keeper = reads.keeper
        self._rooms = reads.rooms
        self._places = asyncio.Semaphore(at_once)
        self._openings = Together(self._open, 0)
        self._arrivals = Together(self._keep, NAP_SECONDS)

    async def fetch(self, bucket: Bucket, key: str, *, latest: bool = False) -> int | None:
        """As ``fetching.fetch``. Raises ``ServiceUnavailable`` too, where nothing can be kept."""
        opening = _Opening(bucket, key, self._keeper.new_owner())
        try:
            number = await self._openings.ask(opening)
        except BaseException:
            opening.is_wanted = False
            await self._keeper.let_go(opening.owner)  # where we have it already, and were not told yet
            raise
        if number is not None and (size := await self._fetch_opened(opening, number)) is not None:
            return size
        async with self._places:
            return await fetch(self._reads, bucket, key, latest=latest)

    async def _fetch_opened(self, opening: _Opening, number: int) -> int | None:
        """Reads an object and has it kept. Returns its size; None where it was changed or written meanwhile."""
        bucket, key, reads = opening.bucket, opening.key, self._reads
        failure: errors.Error | None = None
        is_ours, is_kept = True, False
        try:
            async with self._places, reads.ways.use(bucket) as upstream:
                await self._rooms.space.check()
                remote, body = await upstream.get(key)
                if remote.size > self._rooms.receiver.inline_limit or bucket.copies > 1:
                    is_ours = False
                    reading = reads.go_on(bucket, key, opening.owner, number, (remote, body))
                    return remote.size if await bring(reads, bucket, reading) else None
                async with aclosing(body):
                    data = b"".join([piece async for piece in body])
            is_kept = await self._arrivals.ask(_Arrival(opening, number, _draft(bucket, remote, data)))
            return remote.size if is_kept else None
        except errors.RemoteChanged:
            return None
        except errors.Error as error:
            failure = error
            raise
        finally:
            if is_ours:
                await self._keeper.end((bucket.log, key), opening.owner, failure, has_leases=not is_kept)

    async def _open(self, openings: Sequence[_Opening]) -> Sequence[int | None]:
        """The numbers of the openings that could be had."""
        wanted = [(each, self._keeper.lease(each.owner)) for each in openings if each.is_wanted]

        def open_all(tx: Transaction) -> dict[bytes, int | None]:
            moment = now()
            return {
                each.owner: fills.open_partial(tx, each.bucket, each.key, lease, moment)
                for each, lease in wanted
                if intents.find(tx, each.bucket.log, each.key) is None
            }

        numbers = await self._rooms.catalog.write(open_all, durable=False)
        for each in openings:
            number = numbers.get(each.owner)
            if number is not None:
                self._keeper.hold(each.owner, number)
                if not each.is_wanted:
                    await self._keeper.let_go(each.owner)
        return [numbers.get(each.owner) for each in openings]

    async def _keep(self, arrivals: Sequence[_Arrival]) -> Sequence[bool]:
        """Makes objects of what has arrived. Returns of which: not of what is not wanted any more."""

        def keep_all(tx: Transaction) -> list[bool]:
            moment, kept = now(), []
            for each in arrivals:
                bucket, key, owner = each.opening.bucket, each.opening.key, each.opening.owner
                kept.append(fills.keep_opened(tx, each.partial, bucket, key, each.draft, owner, moment) is not None)
            return kept

        return await self._rooms.catalog.write(keep_all, durable=False)


def _draft(bucket: Bucket, remote: RemoteObject, data: bytes) -> Draft:
    """An object to be kept in the catalog, with the checksum that its bucket asks for."""
    hasher = cached.hasher_of(bucket, remote)
    if hasher is not None:
        hasher.update(data)
    return cached.draft_of(bucket, remote, inline(data), now(), cached.digest_of(bucket, hasher))
