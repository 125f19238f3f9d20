"""Pages that are exactly S3's, from remotes that are nearly.

A remote's page is trusted for what is in it, not for where it begins or how it is ordered: what is not after ``after``,
or does not have the prefix, is left out, the rest is sorted, and empty pages are gone through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from tidegate.upstream.abc import Entry, Page

# The last character of all: a name that begins with "a/" and sorts after "a/" + LAST is hardly anybody's.
LAST: Final = "\U0010ffff"

# A remote's own page for a token (empty for the first): objects, common prefixes, the next token (empty at the end).
Fetch: TypeAlias = Callable[[str], Awaitable[tuple[Sequence[Entry], Sequence[str], str]]]


class List(Protocol):
    """A provider's ``list``."""

    async def __call__(self, *, prefix: str, after: str, limit: int) -> Page: ...


def is_group(after: str, prefix: str, delimiter: str) -> bool:
    """Whether ``after`` is a common prefix of the listing, and so stands for all that begins with it."""
    if not delimiter or not after.startswith(prefix):
        return False
    at = after.find(delimiter, len(prefix))
    return at >= 0 and at + len(delimiter) == len(after)


def begin(after: str, prefix: str, delimiter: str) -> str:
    """The key after which a remote has to begin, empty for the start. A group is jumped over where that is possible."""
    if not after or after.encode() < prefix.encode():
        return ""
    return after + LAST if is_group(after, prefix, delimiter) else after


def _group_of(after: str, prefix: str, delimiter: str) -> str:
    """The common prefix that ``after`` is somewhere within, if it is."""
    if not delimiter or not after.startswith(prefix):
        return ""
    at = after.find(delimiter, len(prefix))
    end = at + len(delimiter)
    return after[:end] if at >= 0 and end < len(after) else ""


async def page(fetch: Fetch, again: List, *, prefix: str, delimiter: str, after: str, token: str, limit: int) -> Page:
    """The first page from ``token`` on (else from the start) that has anything after ``after``, or the last.

    ``again`` is the provider's own ``list``: where ``after`` is within a common prefix, remotes differ in whether that
    is listed again. It is if there is a key in it that comes after.
    """
    if limit <= 0:
        return Page((), ())
    mark = "" if token else after
    lowest, group = mark.encode(), mark if is_group(mark, prefix, delimiter) else ""
    within = _group_of(mark, prefix, delimiter)

    def wanted(name: str) -> bool:
        return name.startswith(prefix) and name.encode() > lowest and not (group and name.startswith(group))

    while True:
        entries, prefixes, token = await fetch(token)
        objects = sorted((item for item in entries if wanted(item.key)), key=_by_bytes)
        groups = sorted({name for name in prefixes if wanted(name)}, key=str.encode)
        if objects or groups or not token:
            break
    if within and (await again(prefix=within, after=mark, limit=1)).entries:
        groups.insert(0, within)
    shown = sorted([*(item.key for item in objects), *groups], key=str.encode)
    if len(shown) > limit:
        last, token = shown[limit - 1], ""
        end = last.encode()
        objects = [item for item in objects if item.key.encode() <= end]
        groups = [name for name in groups if name.encode() <= end]
        return Page(tuple(objects), tuple(groups), "", last)
    return Page(tuple(objects), tuple(groups), token, shown[-1] if token else None)


def _by_bytes(item: Entry) -> bytes:
    return item.key.encode()
