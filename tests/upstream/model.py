"""What S3 lists, said in the plainest way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidegate.upstream import Page


def walk(keys: Iterable[str], prefix: str, delimiter: str, after: str) -> Sequence[str]:
    """All objects and common prefixes of a listing, in the order of their bytes."""
    found: set[str] = set()
    is_group = False
    if delimiter and after.startswith(prefix):
        at = after.find(delimiter, len(prefix))
        is_group = at >= 0 and at + len(delimiter) == len(after)
    for key in keys:
        if not key.startswith(prefix) or key.encode() <= after.encode() or (is_group and key.startswith(after)):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        found.add(key if at < 0 else key[: at + len(delimiter)])
    return sorted(found, key=str.encode)


def names(page: Page) -> list[str]:
    """The objects and common prefixes of a page, in order; each of the two must be in order by itself."""
    keys = [entry.key for entry in page.entries]
    assert keys == sorted(keys, key=str.encode)
    assert list(page.prefixes) == sorted(page.prefixes, key=str.encode)
    return sorted([*keys, *page.prefixes], key=str.encode)
