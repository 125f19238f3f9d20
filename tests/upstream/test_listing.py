"""Pages are exactly S3's, whatever a remote's own pages are like."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.model import names, walk
from tests.upstream.remotes import run
from tidegate.upstream import Entry, Page, listing

# Few letters, so that prefixes, delimiters and keys meet; among them the last of all and one that UTF-16 sorts before.
texts = st.text("a/b\uffee\U0001f600", max_size=4)
keys = st.sets(texts.filter(bool), max_size=12)


class Habits(msgspec.Struct, frozen=True):
    """What a remote does that S3 does not."""

    ignores_after: bool
    forgets_groups: bool
    shuffles: bool
    gives_empty_pages: bool
    page: int


habits = st.builds(
    Habits, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(min_value=1, max_value=5)
)


PLAIN = Habits(ignores_after=False, forgets_groups=False, shuffles=False, gives_empty_pages=False, page=1000)


class Odd:
    """A remote with such habits. Its tokens are the names that it has shown last."""

    def __init__(self, found: Sequence[str], habits: Habits) -> None:
        self._keys = found
        self._habits = habits

    async def list(
        self, *, prefix: str = "", delimiter: str = "", after: str = "", token: str = "", limit: int = 1000
    ) -> Page:
        begin = "" if self._habits.ignores_after or token else listing.begin(after, prefix, delimiter)
        shown = walk([key for key in self._keys if key.encode() > begin.encode()], prefix, delimiter, "")
        if self._habits.forgets_groups:
            shown = [name for name in shown if name.encode() > begin.encode()]

        async def fetch(token: str) -> tuple[Sequence[Entry], Sequence[str], str]:
            if self._habits.gives_empty_pages and not token.startswith("-"):
                return [], [], f"-{token}"
            mark = token.removeprefix("-").encode()
            rest = [name for name in shown if name.encode() > mark]
            part = rest[: min(limit, self._habits.page)]
            following = part[-1] if len(part) < len(rest) else ""
            if self._habits.shuffles:
                part = part[::-1]
            entries = [Entry(name, 0, "", 0) for name in part if not _is_group(name, prefix, delimiter)]
            return entries, [name for name in part if _is_group(name, prefix, delimiter)], following

        return await listing.page(
            fetch, self.list, prefix=prefix, delimiter=delimiter, after=after, token=token, limit=limit
        )


def _is_group(name: str, prefix: str, delimiter: str) -> bool:
    return bool(delimiter) and name.find(delimiter, len(prefix)) >= 0


@given(
    found=keys,
    prefix=texts,
    delimiter=st.sampled_from(["", "/", "a", "//", "\U0001f600"]),
    after=texts,
    limit=st.integers(1, 20),
    habits=habits,
    uses_token=st.booleans(),
)
def test_all_pages_together_are_the_listing(
    found: set[str], prefix: str, delimiter: str, after: str, limit: int, habits: Habits, *, uses_token: bool
) -> None:
    """Page by page, with tokens or without, everything is listed once, in order, and no page is larger than asked."""

    async def story() -> Sequence[str]:
        remote = Odd(sorted(found, key=str.encode), habits)
        seen: list[str] = []
        last: str | None = after
        token = ""
        while last is not None:
            page = await remote.list(prefix=prefix, delimiter=delimiter, after=last, token=token, limit=limit)
            assert len(names(page)) <= limit
            assert names(page) or page.last is None
            seen += names(page)
            last, token = page.last, page.token if uses_token else ""
        return seen

    assert run(story) == walk(found, prefix, delimiter, after)


def test_nothing_is_asked_for_a_page_of_nothing() -> None:
    """A limit of 0 is an empty page."""

    async def story() -> Page:
        return await Odd(["a"], PLAIN).list(limit=0)

    assert run(story) == Page((), ())
