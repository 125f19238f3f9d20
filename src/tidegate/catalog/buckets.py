"""Buckets: names of logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from tidegate import errors
from tidegate.access import EVERYTHING
from tidegate.catalog import commits, repos, rows
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.model import NEWEST, Bucket, Layer, Place, Repo, Versioning, Writer
from tidegate.names import AIS, BucketName
from tidegate.properties import BucketProperties
from tidegate.refs import MASTER, RefName, RepoName, bucket_name, is_moving, is_time, parse_bucket, parse_time

_COLUMNS = "id, provider, namespace, name, log, owner, created, versioning, region, tags, properties, repo"

# How a bucket is called: by its identity, by its name alone, as S3 clients do, or by a repository and a ref.
Name = str | BucketName | RefName

_DEFAULTS = BucketProperties()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(BucketProperties).decode


def _bucket(tx: Reader, row: Row) -> Bucket:
    number, provider, namespace, name, log, owner, created, versioning, region, tags, properties, repo = row
    tree = _DEFAULTS if properties is None else _decode(properties)
    bucket = Bucket(
        number, provider, namespace, name, log, owner, created, Versioning(versioning), region,
        None if tags is None else rows.unpack_map(tags), tree, int(tree.access) or EVERYTHING,
    )  # fmt: skip
    return bucket if repo is None else _of_branch(tx, bucket, repo)


def _of_branch(tx: Reader, bucket: Bucket, repo: int) -> Bucket:
    branch = repos.branch_of(tx, bucket.id)
    layers = repos.readable(tx, branch)
    return replace(
        bucket,
        layers=_short(bucket, layers),
        place=repos.place(tx, repos.repo_of(tx, repo), branch),
    )


def _of_ref(tx: Reader, name: RefName) -> Bucket:
    state = repos.resolve(tx, name)
    bucket = of_branch(tx, state.repo, state.home)
    if not state.is_snapshot:
        return bucket
    place = bucket.place or Place(state.repo.id, state.repo.name, state.home)
    return replace(
        bucket,
        log=state.layers[0].log,
        layers=state.layers,
        place=replace(place, open=None, newest=(), is_snapshot=True),
    )


def of_branch(tx: Reader, repo: Repo, name: str) -> Bucket:
    """The bucket of a branch; as it would be, where there is none, or none any more."""
    found = repos.find_branch(tx, repo.id, name)
    bucket = None if found is None else by_id(tx, found.bucket)
    return stand_in(repo, name) if bucket is None else bucket


def stand_in(repo: Repo, branch: str = MASTER) -> Bucket:
    """The bucket that a branch is to those who ask for permissions, without what its properties say."""
    name = bucket_name(repo.name, branch)
    return Bucket(0, AIS, "", name, 0, repo.owner, repo.created, Versioning.ENABLED, "", None)


def _at_time(tx: Reader, name: str, time: str) -> Bucket:
    """What a bucket of ours with versions held at a time."""
    bucket = get(tx, name)
    if bucket.versioning is Versioning.OFF or bucket.is_elsewhere:
        raise errors.InvalidRequest(f'bucket "{name}" keeps no versions: nobody knows what was in it at another time')
    layers = (Layer(bucket.log, parse_time(time), by_time=True),)
    return replace(bucket, layers=layers, place=Place(0, RepoName(""), "", is_snapshot=True))


def writable(bucket: Bucket, writer: Writer) -> Bucket:
    """A bucket as they see it who write it, in the name of whom: with what is in a commit that is open."""
    place = bucket.place
    if place is None:
        return bucket
    return replace(bucket, layers=_short(bucket, place.newest), writer=writer)


def _short(bucket: Bucket, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers as a bucket has them: none for what goes without saying."""
    return () if layers == (Layer(bucket.log, NEWEST),) else layers


def by_id(tx: Reader, number: int) -> Bucket | None:
    """The bucket of that number."""
    row = tx.one(f"SELECT {_COLUMNS} FROM buckets WHERE id = ?", (number,))
    return None if row is None else _bucket(tx, row)


def get(tx: Reader, name: Name) -> Bucket:
    """The bucket of that name. Raises ``NoSuchBucket``, and ``AmbiguousBucketName`` where a mere name means several.

    A mere name that no bucket has may be that of a state in a repository, or of a bucket at a time.
    """
    if isinstance(name, RefName):
        return _of_ref(tx, name)
    if isinstance(name, BucketName):
        found = list(
            tx.rows(
                f"SELECT {_COLUMNS} FROM buckets WHERE name = ? AND provider = ? AND namespace = ?",
                (name.name, name.provider, name.namespace),
            )
        )
        if not found:
            raise errors.NoSuchBucket(f'bucket "{name.uri}" does not exist', BucketName=name.name)
    else:
        found = list(tx.rows(f"SELECT {_COLUMNS} FROM buckets WHERE name = ?", (name,)))
        if not found:
            return _by_grammar(tx, name)
    if len(found) > 1:
        # Which ones they are is for a listing to show, to those who may see them.
        raise errors.AmbiguousBucketName(
            f'ambiguous bucket name "{name}": buckets of several providers or namespaces have it, and S3 clients '
            "cannot tell them apart. Use a client that knows their URIs, or a name that no other bucket has",
            BucketName=str(name),
        )
    return _bucket(tx, found[0])


def known(tx: Transaction, name: Name) -> Bucket:
    """As ``get``, for who writes to it time and again: what a name means is remembered."""
    return get(tx, name) if is_moving(name) else tx.recall(("bucket", name), get, name)


def _by_grammar(tx: Reader, name: str) -> Bucket:
    time, _, base = name.partition(".")
    if is_time(time) and tx.one("SELECT 1 FROM buckets WHERE name = ? AND repo IS NULL", (base,)) is not None:
        return _at_time(tx, base, time)
    try:
        return _of_ref(tx, parse_bucket(name))
    except errors.InvalidBucketName:
        raise errors.NoSuchBucket(BucketName=name) from None
    except errors.NoSuchRepo as error:
        raise type(error)(BucketName=name) from None  # S3's own words


def numbered(tx: Reader, bucket_id: int, name: BucketName) -> Bucket:
    """The bucket of that number, which was called ``name``, whatever it is called now. Raises ``NoSuchBucket``."""
    row = tx.one(f"SELECT {_COLUMNS} FROM buckets WHERE id = ?", (bucket_id,))
    if row is None:
        raise errors.NoSuchBucket(f'bucket "{name.uri}" does not exist', BucketName=name.name)
    return _bucket(tx, row)


def of_log(tx: Reader, log: int) -> Bucket | None:
    """The bucket whose log it is."""
    row = tx.one(f"SELECT {_COLUMNS} FROM buckets WHERE log = ?", (log,))
    return None if row is None else _bucket(tx, row)


def page(
    tx: Reader, *, prefix: str, after: str, limit: int, may_see: Callable[[Bucket], bool] = lambda _: True
) -> list[Bucket]:
    """Buckets in order of their names, those that the caller may see. Buckets that share a name stay together: with
    them the page may have more than ``limit``.
    """
    sql = f"SELECT {_COLUMNS} FROM buckets WHERE name > ? AND name >= ? ORDER BY name, provider, namespace"
    found: list[Bucket] = []
    for row in tx.rows(sql, (after, prefix)):
        if not row[3].startswith(prefix) or (len(found) >= limit and found[-1].name != row[3]):
            break
        bucket = _bucket(tx, row)
        if may_see(bucket):
            found.append(bucket)
    return found


def check_free(tx: Reader, name: str | BucketName, owner: str) -> None:
    """Raises ``BucketAlreadyOwnedByYou`` or ``BucketAlreadyExists`` where a bucket may not be called so."""
    identity = name if isinstance(name, BucketName) else BucketName(name)
    taken = {
        BucketName(*row[:3]): row[3]
        for row in tx.rows("SELECT name, provider, namespace, owner FROM buckets WHERE name = ?", (identity.name,))
    }
    if isinstance(name, str) and taken.keys() - {identity}:
        raise errors.BucketAlreadyExists(BucketName=name)
    if identity in taken:
        kind = errors.BucketAlreadyOwnedByYou if taken[identity] == owner else errors.BucketAlreadyExists
        raise (
            kind(f'bucket "{identity.uri}" already exists', BucketName=identity.name)
            if isinstance(name, BucketName)
            else kind(BucketName=name)
        )
    if identity.provider == AIS and not identity.namespace and _is_state(tx, identity.name):
        raise errors.BucketAlreadyExists(BucketName=identity.name)


def create(
    tx: Transaction,
    name: str | BucketName,
    owner: str,
    region: str,
    now: int,
    tags: Mapping[str, str] | None = None,
    properties: BucketProperties = _DEFAULTS,
) -> Bucket:
    """Makes a bucket with an empty log.

    A mere name is one of ours that no other bucket, of any provider, may have yet. Raises ``BucketAlreadyOwnedByYou``
    or ``BucketAlreadyExists``.
    """
    identity = name if isinstance(name, BucketName) else BucketName(name)
    check_free(tx, name, owner)
    bucket = Bucket(
        tx.sequence(), identity.provider, identity.namespace, identity.name, tx.sequence(), owner, now, Versioning.OFF,
        region, tags or None, properties,
    )  # fmt: skip
    tx.touch_names()
    tx.execute("INSERT INTO logs (id) VALUES (?)", (bucket.log,))
    tx.execute(
        f"INSERT INTO buckets ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            bucket.id, bucket.provider, bucket.namespace, bucket.name, bucket.log, owner, now, bucket.versioning,
            region, rows.pack_map(tags), _pack(properties), None,
        ),
    )  # fmt: skip
    return bucket


def _is_state(tx: Reader, name: str) -> bool:
    """Whether a name means something in a repository."""
    try:
        repos.resolve(tx, parse_bucket(name))
    except (errors.NoSuchRepo, errors.InvalidBucketName, errors.InvalidArgument):
        return False
    return True


def _pack(properties: BucketProperties) -> bytes | None:
    return None if properties == _DEFAULTS else _encode(properties)


def delete(tx: Transaction, bucket: Bucket) -> None:
    """Removes a bucket that has no version. Raises ``BucketNotEmpty``.

    As in S3, uploads that are under way do not keep a bucket alive: they can no longer be reached, and
    ``uploads.abandon`` sweeps them up.
    """
    if not is_empty(tx, bucket):
        raise errors.BucketNotEmpty(BucketName=bucket.name)
    if any(tx.one(f"SELECT 1 FROM {table} WHERE log = ? LIMIT 1", (bucket.log,)) for table in ("partials", "intents")):
        destroy(tx, bucket)  # what is only a cache keeps no bucket alive
        return
    tx.touch_names()
    tx.execute("DELETE FROM logs WHERE id = ?", (bucket.log,))
    tx.execute("DELETE FROM buckets WHERE id = ?", (bucket.id,))


def destroy(tx: Transaction, bucket: Bucket) -> None:
    """Removes a bucket with all that is in it, in constant time: its log is emptied later, see ``dropped.py``."""
    tx.touch_names()
    tx.execute("UPDATE logs SET dropped = 1, objects = 0, bytes = 0 WHERE id = ?", (bucket.log,))
    tx.execute("DELETE FROM buckets WHERE id = ?", (bucket.id,))


def renew_log(tx: Transaction, bucket: Bucket) -> None:
    """Gives a bucket an empty log: what was in the other one is forgotten, in constant time."""
    log = tx.sequence()
    tx.touch_names()
    tx.execute("INSERT INTO logs (id) VALUES (?)", (log,))
    tx.execute("UPDATE buckets SET log = ? WHERE id = ?", (log, bucket.id))
    tx.execute("UPDATE logs SET dropped = 1, objects = 0, bytes = 0 WHERE id = ?", (bucket.log,))


def is_empty(tx: Reader, bucket: Bucket) -> bool:
    """Whether a bucket's log has no version; of a branch, whether it has no object now."""
    if bucket.place is not None:
        return size(tx, bucket)[0] == 0
    return all(
        tx.one(f"SELECT 1 FROM {table} WHERE log = ? LIMIT 1", (bucket.log,)) is None for table in ("head", "history")
    )


def backed_by(tx: Reader, name: BucketName) -> list[Bucket]:
    """The buckets of ours that show what is in another provider's."""
    sql = f"SELECT {_COLUMNS} FROM buckets WHERE provider = 'ais' AND properties IS NOT NULL"
    every = [_bucket(tx, row) for row in list(tx.rows(sql))]
    return [
        bucket
        for bucket in every
        if (backend := bucket.properties.backend_bck).name
        and BucketName(backend.name, backend.provider, backend.namespace.name) == name
    ]


def rename(tx: Transaction, bucket: Bucket, to: BucketName) -> None:
    """Gives a bucket another name. Raises ``BucketAlreadyExists``."""
    if tx.one(
        "SELECT 1 FROM buckets WHERE name = ? AND provider = ? AND namespace = ?", (to.name, to.provider, to.namespace)
    ):
        raise errors.BucketAlreadyExists(f'bucket "{to.uri}" already exists', BucketName=to.name)
    if to.provider == AIS and not to.namespace and _is_state(tx, to.name):
        raise errors.BucketAlreadyExists(BucketName=to.name)
    tx.touch_names()
    tx.execute(
        "UPDATE buckets SET name = ?, provider = ?, namespace = ? WHERE id = ?",
        (to.name, to.provider, to.namespace, bucket.id),
    )


def set_versioning(tx: Transaction, bucket: Bucket, versioning: Versioning) -> None:
    """Says how the bucket's log is kept from now on."""
    tx.touch_names()
    tx.execute("UPDATE buckets SET versioning = ? WHERE id = ?", (versioning, bucket.id))


def set_tags(tx: Transaction, bucket: Bucket, tags: Mapping[str, str] | None) -> None:
    """Replaces the bucket's tags."""
    tx.touch_names()
    tx.execute("UPDATE buckets SET tags = ? WHERE id = ?", (rows.pack_map(tags), bucket.id))


def set_properties(tx: Transaction, bucket: Bucket, properties: BucketProperties) -> None:
    """Replaces the bucket's properties."""
    tx.touch_names()
    tx.execute("UPDATE buckets SET properties = ? WHERE id = ?", (_pack(properties), bucket.id))


def size(tx: Reader, bucket: Bucket) -> tuple[int, int]:
    """The number of a bucket's live objects, and their bytes."""
    if bucket.place is not None:
        head = commits.last(tx, bucket.state)
        return (0, 0) if head is None else (head.objects, head.size)
    row = tx.one("SELECT objects, bytes FROM logs WHERE id = ?", (bucket.log,))
    return (0, 0) if row is None else (row[0], row[1])


# A branch has what its newest commit counts that is finished, or the one that it begins with.
_HEADS = """
    SELECT coalesce((SELECT c.seq FROM commits c WHERE c.log = b.log AND c.finished IS NOT NULL ORDER BY c.seq DESC
                     LIMIT 1), l.fork) AS seq
    FROM buckets b JOIN logs l ON l.id = b.log WHERE b.repo IS NOT NULL"""
_TOTALS = f"""
    SELECT (SELECT count(*) FROM buckets), coalesce(sum(objects), 0), coalesce(sum(bytes), 0) FROM (
        SELECT objects, bytes FROM logs WHERE dropped = 0
        UNION ALL
        SELECT c.objects, c.bytes FROM ({_HEADS}) JOIN commits c USING (seq))"""


def totals(tx: Reader) -> tuple[int, int, int]:
    """The number of buckets, of live objects, and of the live objects' bytes, in the whole catalog."""
    row = tx.one(_TOTALS)
    return (0, 0, 0) if row is None else (row[0], row[1], row[2])
