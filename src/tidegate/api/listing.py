"""Listing files (``…/repos/{repo}/files``): a directory, all below it, or what a pattern means.

Paths are in the order of their UTF-8 bytes. There are no directories but in paths: one is there as long as a file is in
it. A page is read in steps, between which other requests get their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidegate import asgi, errors
from tidegate.api import shapes
from tidegate.api.call import Call, no_such_file
from tidegate.api.globs import SLASH, Glob
from tidegate.api.repos import REPO
from tidegate.api.routes import Route, route
from tidegate.api.words import MAX_PATTERN, After, FileLimit, Ref
from tidegate.documents import File, Page
from tidegate.names import MAX_KEY_BYTES
from tidegate.refs import RefName

DEFAULT_PAGE: Final = 1000
# Names in one step: a few milliseconds.
STEP: Final = 1000
# Names that are compared with a pattern for one page, a second or two; then the page ends, with few entries or none.
MAX_SCANNED: Final = 100_000
# To sum up a directory reads the names of all that is in it.
MAX_SUMMED: Final = 100


class Listing(msgspec.Struct, frozen=True):
    """Which files, and how they are shown."""

    ref: Ref
    path: Annotated[str, Meta(max_length=MAX_KEY_BYTES, description="A directory, or one file. Empty for all.")] = ""
    recursive: Annotated[bool, Meta(description="All files below, instead of one level.")] = False
    glob: Annotated[
        str,
        Meta(
            max_length=MAX_PATTERN,
            description=(
                "Instead of a path, a pattern: `*`, `?`, `[a-z]`, `[!a-z]` within a segment, `**` across, `{a,b}`. "
                "Files and directories that match."
            ),
        ),
    ] = ""
    sizes: Annotated[
        bool, Meta(description=f"Sum up the directories; a page has at most {MAX_SUMMED} entries then.")
    ] = False
    after: After = ""
    limit: FileLimit = DEFAULT_PAGE


# What was looked at: its path, and the entry if it is one of those that are wanted.
_Looked = tuple[str, File | None]


async def list_files(call: Call, query: Listing) -> Page[File]:
    """Files and directories. A page may be short, or empty, and have a `next`."""
    check_text(query.path, query.glob, query.after)
    if query.glob and (query.path or query.recursive):
        raise errors.InvalidArgument("a pattern takes the place of path and recursive")
    return await asgi.unless_gone(call.request.receive, _page(call, query))


async def _page(call: Call, query: Listing) -> Page[File]:
    limit = min(query.limit, MAX_SUMMED) if query.sizes else query.limit
    walk = Walk(call, call.at(query.ref), STEP if query.glob else min(STEP, limit + 1))
    if query.glob:
        looked = walk.matching(Glob(query.glob), query.after)
    else:
        looked = walk.at(query.path, query.after, "" if query.recursive else SLASH)
    items: list[File] = []
    scanned, last, has_more = 0, "", False
    async with aclosing(looked):
        async for path, item in looked:
            has_more = scanned == MAX_SCANNED or (item is not None and len(items) == limit)
            if has_more:
                break
            scanned += 1
            last = path
            if item is not None:
                items.append(item)
    if query.path and not (items or query.after or has_more):
        raise no_such_file(call.repo, query.ref, query.path)
    if query.sizes:
        items = [await walk.summed(item) for item in items]
    return Page(items, last if has_more else None)


class Walk:
    """Goes through the paths of one state, in order, after some path. Names are read ``step`` at a time."""

    def __init__(self, call: Call, name: RefName, step: int = STEP) -> None:
        self._call = call
        self._name = name
        self._step = step

    async def at(self, path: str, after: str, delimiter: str) -> AsyncGenerator[_Looked, None]:
        """A file, and what is in the directory of that name: with a delimiter one level of it."""
        directory = path if not path or path.endswith(SLASH) else path + SLASH
        if directory != path and after < path:
            found, _ = await self._read(path, "", "", 1)
            for file in found:
                if file.path == path:
                    yield path, file
        async with aclosing(self._files(directory, after, delimiter)) as files:
            async for file in files:
                yield file.path, file

    async def matching(self, glob: Glob, after: str) -> AsyncGenerator[_Looked, None]:
        """Everything that may match, with those that do."""
        looked = self._flat(glob, after) if glob.is_deep else self._levels(glob, glob.start, after)
        async with aclosing(looked):
            async for each in looked:
                yield each

    async def _flat(self, glob: Glob, after: str) -> AsyncGenerator[_Looked, None]:
        """All files from where matches begin, and the directories that they are in."""
        shown = ""
        async with aclosing(self._files(glob.start, after, "")) as files:
            async for file in files:
                for directory in _directories(file.path):
                    if directory > after and not shown.startswith(directory):
                        yield directory, File(directory, "dir", None) if glob.matches(directory) else None
                shown = file.path
                yield file.path, file if glob.matches(file.path) else None

    async def _levels(self, glob: Glob, directory: str, after: str) -> AsyncGenerator[_Looked, None]:
        """What is in a directory, and below in those directories where a match may be."""
        position = after
        if after.startswith(directory) and SLASH in after[len(directory) :]:
            position = after[: after.index(SLASH, len(directory)) + 1]  # a directory that was begun
            if glob.may_be_in(position):
                async with aclosing(self._levels(glob, position, after)) as rest:
                    async for each in rest:
                        yield each
        async with aclosing(self._files(directory, position, SLASH)) as level:
            async for item in level:
                if item.path == directory:  # a file of the directory's name, under which that was shown
                    continue
                yield item.path, item if glob.matches(item.path) else None
                if item.type == "dir" and glob.may_be_in(item.path):
                    async with aclosing(self._levels(glob, item.path, "")) as below:
                        async for each in below:
                            yield each

    async def _files(self, prefix: str, after: str, delimiter: str) -> AsyncGenerator[File, None]:
        """The files that begin so; with a delimiter those that have one behind that are directories."""
        position: str | None = after
        while position is not None:
            found, position = await self._read(prefix, position, delimiter, self._step)
            for each in found:
                yield each
            await asyncio.sleep(0)

    async def _read(self, prefix: str, after: str, delimiter: str, limit: int) -> tuple[list[File], str | None]:
        _, page, details = await self._call.gateway.buckets.list_details(
            self._call.principal, self._name, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )
        found = [shapes.file(details[entry.key].version) for entry in page.entries if entry.key in details]
        found += [File(each, "dir", None) for each in page.prefixes]
        if page.prefixes:
            found.sort(key=lambda each: each.path)
        return found, page.last

    async def summed(self, item: File) -> File:
        """A directory with the size of all that is in it."""
        if item.type != "dir":
            return item
        _, sizes = await self._call.gateway.buckets.sizes(self._call.principal, self._name, item.path)
        return msgspec.structs.replace(item, size=sizes.bytes)


def _directories(path: str) -> Iterator[str]:
    """The directories that a file is in, from the top."""
    cut = path.find(SLASH)
    while 0 <= cut < len(path) - 1:
        yield path[: cut + 1]
        cut = path.find(SLASH, cut + 1)


def check_text(*texts: str) -> None:
    """Raises ``InvalidArgument`` for what no path can have."""
    if any("\0" in text for text in texts):
        raise errors.InvalidArgument("a path has no U+0000")


ROUTES: tuple[Route, ...] = (route("GET", REPO + "/files", list_files),)
