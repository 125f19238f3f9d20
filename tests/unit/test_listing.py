"""Every page of every listing is what a plain sort, filter and cut of the bucket gives."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.store import NULL, Model, Store, by_bytes, check, common_prefix
from tidegate.catalog import buckets, listing, uploads
from tidegate.model import Versioning

ALPHABET = "ab/%é\u00ff\ud7ff\ue000\U0010ffff\x01"
keys = st.text("ab/", min_size=1, max_size=6) | st.text(ALPHABET, min_size=1, max_size=5)
prefixes = st.just("") | st.text("ab/", max_size=3) | st.text(ALPHABET, max_size=2)
delimiters = st.sampled_from(["", "/", "/", "a", "//", "aa", "b/", "é", "\U0010ffff", "\x01"])
markers = st.just("") | keys
limits = st.integers(1, 8)


def filled(names: list[str]) -> tuple[Store, Model]:
    """A versioned bucket with these keys, and with a past: versions under them, and keys that were deleted."""
    store, model = Store(), Model(Versioning.ENABLED)
    store.keep(Versioning.ENABLED)
    for number, name in enumerate(names):
        for _ in range(1 + number % 3):
            model.add(name, store.put(name).version_id, b"")
        if number % 4 == 3:
            model.delete(name, store.delete(name).version_id)
    return store, model


def test_keys_are_listed_in_the_order_of_their_bytes() -> None:
    """The order is that of UTF-8, not of UTF-16 or of any language, and a deleted key is not in it."""
    names = ["Z", "a", "a/b", "a0", "a\x01", "é", "e\u0301", "\uffff", "\U00010000", "/", "//", " "]
    store, _ = filled(names[:3] + names[4:])
    page = store.read(lambda tx: listing.keys(tx, store.bucket, prefix="", delimiter="", after="", limit=100))
    shown = [entry.key for entry in page.entries]
    assert shown == by_bytes(shown)
    assert page.last is None


@given(st.lists(keys, max_size=14), prefixes, delimiters, markers, limits)
@example(["a/b/1", "a/b/2"], "", "/", "a/b/", 5)
@example(["aaab"], "", "aa", "aaa", 5)
@example(["b/", "b/1", "b0"], "b", "/", "b/", 5)
@settings(max_examples=250)
def test_a_page_of_keys_is_that_of_a_sorted_list(
    names: list[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    """Keys and common prefixes under the prefix, after the marker, are cut off at the limit, with where to go on."""
    store, model = filled(names)
    page = store.read(
        lambda tx: listing.keys(tx, store.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
    )
    shown = [entry.key for entry in page.entries]
    assert (shown, page.prefixes, page.last) == model.list_keys(prefix, delimiter, after, limit)


@given(st.lists(keys, max_size=14), prefixes, delimiters, limits)
def test_pages_of_keys_join_without_gap_or_repetition(
    names: list[str], prefix: str, delimiter: str, limit: int
) -> None:
    """Going on where each page says gives what one large page does."""
    store, _ = filled(names)

    def page(after: str, limit: int) -> listing.Page:
        return store.read(
            lambda tx: listing.keys(tx, store.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        )

    whole = page("", 1000)
    shown, groups, after = [], [], ""
    while True:
        part = page(after, limit)
        assert len(part.entries) + len(part.prefixes) == limit or part.last is None
        shown += part.entries
        groups += part.prefixes
        if part.last is None:
            break
        after = part.last
    assert (shown, groups) == (whole.entries, whole.prefixes)


@given(st.data(), st.lists(keys, max_size=10), prefixes, delimiters, limits)
@settings(max_examples=250)
def test_a_page_of_versions_is_that_of_the_model(
    data: st.DataObject, names: list[str], prefix: str, delimiter: str, limit: int
) -> None:
    """Versions and delete markers come by key and newest first, from the marker's key and version on."""
    store, model = filled(names)
    if data.draw(st.booleans(), "suspend"):
        model.versioning = store.keep(Versioning.SUSPENDED).versioning
        for name in names[: data.draw(st.integers(0, 4))]:
            store.put(name)
            model.add(name, NULL, b"")
    everything = [(name, kept.id) for name, all_kept in model.keys.items() for kept in all_kept]
    after, after_version = data.draw(st.sampled_from(everything or [("", "")]), "marker")
    if data.draw(st.booleans(), "marker's version is gone") and everything:
        store.delete_version(after, after_version)
        model.delete_version(after, after_version)
    if not data.draw(st.booleans(), "within a key"):
        after, after_version = data.draw(markers, "other marker"), ""
    page = store.list_versions(after, after_version, limit, prefix, delimiter)
    found, groups, last = model.list_versions(prefix, delimiter, after, after_version, limit)
    assert [(version.key, version.version_id, version.is_latest) for version in page.versions] == found
    assert page.prefixes == groups
    assert (page.last_key, page.last_version_id) == (last or (None, ""))
    store.read(check)


@given(names=st.lists(keys, max_size=8), limit=limits, suspended=st.booleans())
def test_a_bucket_is_emptied_by_deleting_each_page_of_versions(
    names: list[str], limit: int, *, suspended: bool
) -> None:
    """What was listed may be deleted before the next page is asked for; nothing is missed for it."""
    store, _ = filled(names)
    if suspended:
        store.keep(Versioning.SUSPENDED)
        for name in names:
            store.put(name)
    after, after_version = "", ""
    while True:
        page = store.list_versions(after, after_version, limit)
        for found in page.versions:
            store.delete_version(found.key, found.version_id)
        if page.last_key is None:
            break
        after, after_version = page.last_key, page.last_version_id
    store.read(check)
    store.write(lambda tx: buckets.delete(tx, store.bucket))
    assert store.contents() == (set(), 0)


@given(st.data(), st.lists(keys, max_size=12), prefixes, delimiters, limits)
def test_a_page_of_uploads_is_that_of_a_sorted_list(
    data: st.DataObject, names: list[str], prefix: str, delimiter: str, limit: int
) -> None:
    """Uploads come by key and then by age, from the marker's key and upload on; one that is over is not shown."""
    store = Store()
    started = [(name, f"{number:04x}") for number, name in enumerate(names)]
    for name, upload_id in started:
        store.begin(name, upload_id)
    after, after_id = data.draw(st.sampled_from(started or [("", "")]), "marker")
    if data.draw(st.booleans(), "no upload as marker"):
        after, after_id = data.draw(markers, "other marker"), ""
    for name, upload_id in started[1::3]:
        store.write(partial(uploads.abort, bucket=store.bucket, key=name, upload_id=upload_id, now=0))
    page = store.read(
        lambda tx: listing.uploads(
            tx, store.bucket, prefix=prefix, delimiter=delimiter, after=after, after_id=after_id, limit=limit
        )
    )
    items: list[tuple[str, str]] = []
    for name, upload_id in sorted(started, key=lambda item: (item[0].encode(), item[1])):
        group = common_prefix(name, prefix, delimiter)
        is_after = (name.encode(), upload_id if after_id else "") > (after.encode(), after_id)
        if (name, upload_id) in started[1::3] or not name.startswith(prefix) or not is_after:
            continue
        if after and group == after:
            continue
        item = (name, upload_id) if group is None else (group, "")
        if item not in items:
            items.append(item)
    shown = [(upload.key, upload.id) for upload in page.uploads] + [(group, "") for group in page.prefixes]
    assert sorted(shown) == sorted(items[:limit])
    assert (page.last_key, page.last_id) == (items[limit - 1] if len(items) > limit else (None, ""))


@pytest.mark.parametrize("marker", ["", "\U0010ffff"])
def test_an_empty_bucket_has_empty_pages(marker: str) -> None:
    """Nothing is listed of nothing, and there is no more of it."""
    store = Store()
    page = store.read(lambda tx: listing.keys(tx, store.bucket, prefix="", delimiter="/", after=marker, limit=1))
    assert (page.entries, page.prefixes, page.last) == ([], [], None)
