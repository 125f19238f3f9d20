"""A log keeps, prunes and names its versions as S3 says, whatever is done to it and in whatever order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.store import NULL, Model, Store, check, draft
from tidegate import errors
from tidegate.catalog import rows, versions
from tidegate.model import Version, Versioning

KEYS = ("k", "k/", "l")
WAYS = (Versioning.OFF, Versioning.ENABLED, Versioning.SUSPENDED)


def kept(versioning: Versioning) -> Store:
    """A catalog whose bucket is kept in this way."""
    store = Store()
    store.keep(versioning)
    return store


steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), st.binary(max_size=3)),
    st.tuples(st.just("delete"), st.sampled_from(KEYS), st.none()),
    st.tuples(st.just("delete version"), st.sampled_from(KEYS), st.integers(0, 5)),
    st.tuples(st.just("keep"), st.none(), st.sampled_from([Versioning.ENABLED, Versioning.SUSPENDED])),
)


def run(store: Store, model: Model, step: tuple[str, str | None, object]) -> None:
    """Does one step in the catalog and in the model."""
    match step:
        case ("put", str(key), bytes(data)):
            model.add(key, store.put(key, data).version_id, data)
        case ("delete", str(key), _):
            model.delete(key, store.delete(key).version_id)
        case ("delete version", str(key), int(index)):
            known = [version.id for version in model.keys.get(key, [])]
            version_id = known[index % len(known)] if known else NULL
            was = model.named(key, version_id)
            gone = store.delete_version(key, version_id)
            assert gone == versions.Deleted(version_id, is_delete_marker=was is not None and was.data is None)
            model.delete_version(key, version_id)
        case (_, _, versioning):
            assert isinstance(versioning, Versioning)
            model.versioning = store.keep(versioning).versioning


def shown(model: Model, version_id: str) -> str:
    """How the bucket calls a version: a bucket that never had versions does not name the one it has."""
    return "" if model.versioning is Versioning.OFF else version_id


@given(st.lists(steps, max_size=25))
@settings(max_examples=150)
def test_any_history_is_that_of_the_model(history: list[tuple[str, str | None, object]]) -> None:
    """After any steps, every version is found by its id, the newest without one, and the rows are sound."""
    store, model = Store(), Model()
    for step in history:
        run(store, model, step)
        store.read(check)
    for key in KEYS:
        current = model.current(key)
        if current is not None:
            assert store.data(key) == current.data
            assert store.get(key).version_id == shown(model, current.id)
        elif model.keys.get(key):
            with pytest.raises(errors.DeleteMarker) as raised:
                store.get(key)
            assert raised.value.fields == {"Key": key, "version_id": model.keys[key][0].id}
        else:
            with pytest.raises(errors.NoSuchKey):
                store.get(key)
        for version in model.keys.get(key, []):
            found = store.get(key, version.id)
            assert found.is_delete_marker is (version.data is None)
            assert found.is_latest is (version is model.keys[key][0])
            if version.data is not None:
                assert store.data(key, version.id) == version.data
            else:
                with pytest.raises(errors.NamedDeleteMarker):
                    store.data(key, version.id)
    everything, _, _ = model.list_versions("", "", "", "", 1000)
    listed = store.list_versions("", "", 1000).versions
    assert [(version.key, version.version_id, version.is_latest) for version in listed] == everything


def test_an_unversioned_bucket_keeps_the_newest_only() -> None:
    """Overwriting and deleting leave nothing behind, no version and no blob."""
    store = kept(Versioning.OFF)
    assert store.put("k", b"1").version_id == ""
    store.put("k", b"2")
    assert store.data("k") == b"2"
    assert store.contents() == (set(), 1)
    assert store.delete("k") == versions.Deleted()
    assert store.contents() == (set(), 0)
    assert store.delete("k") == versions.Deleted()


def test_a_version_from_before_versioning_is_the_null_version() -> None:
    """Enabling versioning keeps what was there, under the id "null"."""
    store = kept(Versioning.OFF)
    store.put("k", b"old")
    store.keep(Versioning.ENABLED)
    new = store.put("k", b"new")
    assert store.data("k", NULL) == b"old"
    assert store.data("k", new.version_id) == store.data("k") == b"new"


def test_a_suspended_bucket_replaces_its_null_version() -> None:
    """While versioning is suspended, a put or delete takes the place of the null version and of no other."""
    store = kept(Versioning.ENABLED)
    first = store.put("k", b"1").version_id
    store.keep(Versioning.SUSPENDED)
    assert store.put("k", b"2").version_id == NULL
    assert store.put("k", b"3").version_id == NULL
    assert store.delete("k") == versions.Deleted(NULL, is_delete_marker=True)
    assert [version.version_id for version in store.list_versions("", "", 10).versions] == [NULL, first]
    assert store.data("k", first) == b"1"
    assert store.contents() == (set(), 1)


def test_the_next_version_comes_to_light_when_the_newest_is_removed() -> None:
    """Removing a delete marker, or the newest object, makes the one before it current again."""
    store = kept(Versioning.ENABLED)
    store.put("k", b"1")
    second = store.put("k", b"2").version_id
    marker = store.delete("k").version_id
    assert store.delete_version("k", marker) == versions.Deleted(marker, is_delete_marker=True)
    assert store.data("k") == b"2"
    assert store.delete_version("k", second) == versions.Deleted(second)
    assert store.data("k") == b"1"
    store.read(check)


def test_version_ids_are_in_order_and_never_come_back() -> None:
    """A later version's id is larger, so that a version is found by its place; no two are alike."""
    store = kept(Versioning.ENABLED)
    ids = [store.put("k").version_id for _ in range(20)]
    assert ids == sorted(set(ids))
    places = [rows.seq_of(version_id) for version_id in ids]
    assert places == sorted(place for place in places if place is not None)


@pytest.mark.parametrize(
    "version_id",
    [
        "x",
        "0" * 32,
        "f" * 32,
        "8" + "0" * 31,
        "7" + "f" * 31,
        "-" + "1" * 31,
        "+1" * 16,
        " " * 32,
        "1_" * 16,
        "é" * 32,
        "NULL",
    ],
)
@pytest.mark.parametrize("versioning", WAYS)
def test_a_version_that_is_not_there_is_not_found(versioning: Versioning, version_id: str) -> None:
    """Any string may be asked for as a version id. One that nobody made names nothing, and deleting it is no error."""
    store = kept(versioning)
    store.put("k", b"1")
    with pytest.raises(errors.NoSuchVersion):
        store.get("k", version_id)
    assert store.delete_version("k", version_id) == versions.Deleted(version_id)
    assert store.data("k") == b"1"
    assert store.list_versions("k", version_id, 10).last_key is None


def test_a_version_belongs_to_its_key() -> None:
    """A version's id names nothing under another key, so that a permission for one key opens no other."""
    store = kept(Versioning.ENABLED)
    version_id = store.put("k", b"1").version_id
    store.put("l", b"2")
    with pytest.raises(errors.NoSuchVersion):
        store.get("l", version_id)
    store.delete_version("l", version_id)
    assert store.data("k", version_id) == b"1"


@pytest.mark.parametrize("versioning", WAYS)
def test_a_check_sees_what_would_be_replaced(versioning: Versioning) -> None:
    """The check of a put or delete is given the current object, None where there is none or a delete marker."""
    store = kept(versioning)
    seen: list[Version | None] = []
    put = versions.put
    store.write(lambda tx: put(tx, store.bucket, "k", draft(b"1"), seen.append))
    store.write(lambda tx: put(tx, store.bucket, "k", draft(b"2"), seen.append))
    store.write(lambda tx: versions.delete(tx, store.bucket, "k", 0, seen.append))
    store.write(lambda tx: versions.delete(tx, store.bucket, "k", 0, seen.append))
    store.write(lambda tx: versions.delete_version(tx, store.bucket, "k", "0" * 32, 0, seen.append))
    assert [None if version is None else version.etag for version in seen] == [None, "31", "32", None, None]


@pytest.mark.parametrize("versioning", WAYS)
def test_a_refused_write_leaves_no_trace(versioning: Versioning) -> None:
    """Where the check raises, neither rows nor blobs nor counters have changed."""
    store = kept(versioning)
    store.put("k", b"1")
    before = store.dump()

    def refuse(_: Version | None) -> None:
        raise errors.PreconditionFailed

    attempts: list[Callable[[], object]] = [
        lambda: store.write(lambda tx: versions.put(tx, store.bucket, "k", draft(b"2"), refuse)),
        lambda: store.write(lambda tx: versions.delete(tx, store.bucket, "k", 0, refuse)),
        lambda: store.write(lambda tx: versions.delete_version(tx, store.bucket, "k", NULL, 0, refuse)),
    ]
    for attempt in attempts:
        with pytest.raises(errors.PreconditionFailed):
            attempt()
    assert store.dump() == before


def test_tags_change_in_place() -> None:
    """Tags are those of one version; setting them makes no new one and touches no other."""
    store = kept(Versioning.ENABLED)
    first = store.put("k", a="1").version_id
    second = store.put("k", a="2").version_id
    store.write(lambda tx: versions.set_tags(tx, store.bucket, "k", first, {"b": "3"}))
    store.write(lambda tx: versions.set_tags(tx, store.bucket, "k", "", {}))
    assert store.get("k", first).tags == {"b": "3"}
    assert store.get("k", second).tags == {}
    assert len(store.list_versions("", "", 10).versions) == 2
    marker = store.delete("k").version_id
    for version_id, error in (
        ("", errors.DeleteMarker),
        (marker, errors.NamedDeleteMarker),
        ("x", errors.NoSuchVersion),
    ):
        with pytest.raises(error):
            store.write(lambda tx, version_id=version_id: versions.set_tags(tx, store.bucket, "k", version_id, {}))  # type: ignore[misc]
