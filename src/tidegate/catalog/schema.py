"""The catalog's tables, and how an older catalog is brought up to date.

A bucket names a *log*. A log's versions live in two tables with the same columns, and every version is in exactly one:

- ``head`` holds the newest version of each key, where that is an object. Its primary key is (log, key), so a page of a
  listing is one range of one index whatever lies in the past of those keys.
- ``history`` holds all other rows: versions that were overwritten, and delete markers. Its order (log, key, newest
  first) is the order in which versions are listed.

A row of history is always older than the key's row in head. ``version_id`` is NULL for a null version, of which a key
has at most one: the primary key of head and a partial unique index of history see to that within a table,
``versions.py`` across both.

A version points at a *blob*, which never changes and counts its references. Its bytes are in ``small_blobs``, in a
file, or in other blobs (``blob_parts``). ``garbage`` names blobs without references that wait out their grace period.

Numbers that order things (``seq``) and number blobs come from one counter that never goes back (``counters``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import errors

if TYPE_CHECKING:
    import apsw

_VERSION_COLUMNS = """
    log INTEGER NOT NULL,
    key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    version_id TEXT,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    storage_class TEXT,
    blob INTEGER,
    attributes BLOB,
    tags BLOB"""

_FIRST = f"""
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('sequence', 0);

CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    objects INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE buckets (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    log INTEGER NOT NULL,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    versioning TEXT NOT NULL DEFAULT '',
    region TEXT NOT NULL DEFAULT '',
    tags BLOB,
    UNIQUE (name, provider, namespace)
);

CREATE TABLE head ({_VERSION_COLUMNS}, PRIMARY KEY (log, key)) WITHOUT ROWID;
CREATE TABLE history ({_VERSION_COLUMNS}, PRIMARY KEY (log, key, seq DESC)) WITHOUT ROWID;
CREATE UNIQUE INDEX history_null_version ON history (log, key) WHERE version_id IS NULL;

CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    file BLOB,
    digest BLOB,
    parts BLOB
);
CREATE UNIQUE INDEX blobs_file ON blobs (file) WHERE file IS NOT NULL;
CREATE TABLE small_blobs (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE blob_parts (
    blob INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    source INTEGER NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (blob, offset)
) WITHOUT ROWID;
CREATE TABLE garbage (since INTEGER NOT NULL, blob INTEGER NOT NULL, PRIMARY KEY (since, blob)) WITHOUT ROWID;

CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    initiated INTEGER NOT NULL,
    owner TEXT NOT NULL,
    storage_class TEXT,
    attributes BLOB,
    tags BLOB,
    checksum_algorithm TEXT NOT NULL,
    checksum_type TEXT NOT NULL,
    completed BLOB
) WITHOUT ROWID;
CREATE UNIQUE INDEX uploads_open ON uploads (bucket, key, id) WHERE completed IS NULL;
CREATE INDEX uploads_completed ON uploads (initiated) WHERE completed IS NOT NULL;
CREATE TABLE upload_parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    blob INTEGER NOT NULL,
    checksums BLOB,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;

CREATE TABLE users (
    name TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    is_admin INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE access_keys (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    secret BLOB NOT NULL,
    created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX access_keys_user ON access_keys (user);
"""

# AIStore's properties of buckets and of the system; counters of writes and times of reads; roles, passwords and
# revoked tokens; jobs that users start; logs of destroyed buckets, to be emptied step by step; versions that nobody has
# computed their bucket's checksum of yet.
_SECOND = """
ALTER TABLE buckets ADD COLUMN properties BLOB;
ALTER TABLE head ADD COLUMN writes INTEGER;
ALTER TABLE head ADD COLUMN accessed INTEGER;
ALTER TABLE history ADD COLUMN writes INTEGER;
ALTER TABLE history ADD COLUMN accessed INTEGER;
ALTER TABLE logs ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
CREATE INDEX logs_dropped ON logs (id) WHERE dropped = 1;
CREATE INDEX buckets_log ON buckets (log);
CREATE TABLE undigested (seq INTEGER PRIMARY KEY, log INTEGER NOT NULL, key BLOB NOT NULL);
CREATE TABLE configuration (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

ALTER TABLE users ADD COLUMN password TEXT;
ALTER TABLE users ADD COLUMN roles BLOB;
CREATE TABLE roles (name TEXT PRIMARY KEY, role BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE revoked_tokens (id TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    starter BLOB NOT NULL,
    source BLOB,
    destination BLOB,
    created INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    objects INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    total INTEGER,
    failures INTEGER NOT NULL,
    error TEXT NOT NULL,
    cursor BLOB,
    upload TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_created ON jobs (created);
CREATE INDEX jobs_live ON jobs (created) WHERE ended IS NULL;
CREATE TABLE job_arguments (job TEXT PRIMARY KEY, arguments BLOB NOT NULL);
"""

# Blobs in several data folders. ``folders`` is the set of those that have a copy, a bit each; ``copies`` is how many
# are wanted, negative while somebody counts anew. ``unsettled`` are blobs whose copies may not be as they should, each
# with the time of the next try.
_THIRD = """
ALTER TABLE blobs ADD COLUMN folders INTEGER NOT NULL DEFAULT 1;
ALTER TABLE blobs ADD COLUMN copies INTEGER NOT NULL DEFAULT 1;
CREATE INDEX blobs_mirrored ON blobs (id) WHERE copies <> 1;
CREATE TABLE folders (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    is_leaving INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0
);
INSERT INTO folders (number, id, path) VALUES (0, lower(hex(randomblob(16))), '');
CREATE TABLE unsettled (blob INTEGER PRIMARY KEY, due INTEGER NOT NULL, is_suspect INTEGER NOT NULL DEFAULT 0);
CREATE INDEX unsettled_due ON unsettled (is_suspect, due);
CREATE TABLE mirror_tasks (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject INTEGER NOT NULL,
    copies INTEGER NOT NULL DEFAULT 1,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    position BLOB
);
"""

# Other people's buckets. A ``partial`` is an object of a remote of which some chunks are here (``fills``), or one that
# somebody is asking the remote for: then ``remote``, what the remote said of it, is NULL, and ``until`` is when that is
# given up. ``missing`` counts the chunks that are not here. A chunk without a blob is leased by who is reading it.
# An ``intent`` is a write that is on its way to the remote, or the end of which nobody knows: see ``intents.py``.
_FOURTH = """
CREATE TABLE intents (
    log INTEGER NOT NULL,
    key BLOB NOT NULL,
    owner TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (log, key)
) WITHOUT ROWID;
CREATE TABLE partials (
    id INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    key BLOB NOT NULL,
    size INTEGER NOT NULL DEFAULT 0,
    etag TEXT NOT NULL DEFAULT '',
    missing INTEGER NOT NULL DEFAULT 0,
    used INTEGER NOT NULL,
    remote BLOB,
    owner BLOB,
    until INTEGER
);
CREATE UNIQUE INDEX partials_key ON partials (log, key);
CREATE INDEX partials_used ON partials (used);
CREATE TABLE fills (
    partial INTEGER NOT NULL,
    number INTEGER NOT NULL,
    blob INTEGER,
    owner BLOB,
    until INTEGER,
    PRIMARY KEY (partial, number)
) WITHOUT ROWID;
CREATE INDEX fills_leased ON fills (partial) WHERE blob IS NULL;
"""

# Repositories. A branch is a bucket (``buckets.repo``); its log may begin as another one was at a place (``parent`` and
# ``fork``), and belongs to its repository, whether or not a branch is still on it. One with many below it (``depth``)
# gets rows of its own for what is in them, up to the key ``flattened``, until it ``is_whole``.
#
# A ``commit`` names a place in a log, and ``changes`` the keys that were written there. ``branches.open`` is the place
# of a commit that was started: readers of the branch see what is before it. ``rewrites`` are commits that were dropped,
# or squashed into a ``successor``, while what only they had is still there.
#
# ``deliveries`` are the calls of ``hooks``: those that wait to be made (``due``), in the order of their places for each
# hook, and the newest of those that are over.
_FIFTH = """
ALTER TABLE buckets ADD COLUMN repo INTEGER;
ALTER TABLE logs ADD COLUMN repo INTEGER;
ALTER TABLE logs ADD COLUMN parent INTEGER;
ALTER TABLE logs ADD COLUMN fork INTEGER;
ALTER TABLE logs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logs ADD COLUMN is_whole INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logs ADD COLUMN flattened BLOB;
CREATE INDEX logs_repo ON logs (repo) WHERE repo IS NOT NULL;
CREATE INDEX logs_parent ON logs (parent, fork) WHERE parent IS NOT NULL;
CREATE INDEX history_markers ON history (log, key) WHERE blob IS NULL;
ALTER TABLE undigested RENAME COLUMN seq TO id;
ALTER TABLE undigested ADD COLUMN seq INTEGER;
UPDATE undigested SET seq = id;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created INTEGER NOT NULL
);
INSERT INTO projects VALUES (0, 'default', '', unixepoch() * 1000000);
CREATE TABLE repos (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    description TEXT NOT NULL,
    UNIQUE (project, name)
);
CREATE TABLE branches (
    bucket INTEGER PRIMARY KEY,
    repo INTEGER NOT NULL,
    name TEXT NOT NULL,
    creator TEXT NOT NULL,
    open INTEGER,
    is_protected INTEGER NOT NULL DEFAULT 0,
    trigger BLOB,
    UNIQUE (repo, name)
);
CREATE INDEX branches_following ON branches (repo) WHERE trigger IS NOT NULL;
CREATE TABLE provenance (branch INTEGER NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (branch, source)) WITHOUT ROWID;
CREATE INDEX provenance_source ON provenance (source);
CREATE TABLE tags (
    repo INTEGER NOT NULL,
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (repo, name)
) WITHOUT ROWID;
CREATE INDEX tags_seq ON tags (seq);
CREATE TABLE commits (
    seq INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    id TEXT NOT NULL,
    branch TEXT NOT NULL,
    merged TEXT,
    author TEXT NOT NULL,
    message TEXT NOT NULL,
    metadata BLOB,
    origin TEXT NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER,
    objects INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    changes INTEGER NOT NULL
);
CREATE INDEX commits_log ON commits (log);
CREATE INDEX commits_merged ON commits (log) WHERE merged IS NOT NULL;
CREATE INDEX commits_open ON commits (log) WHERE finished IS NULL;
CREATE TABLE rewrites (seq INTEGER PRIMARY KEY, log INTEGER NOT NULL, successor INTEGER);
CREATE TABLE changes (log INTEGER NOT NULL, seq INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (log, seq, key))
    WITHOUT ROWID;

CREATE TABLE hooks (
    id INTEGER PRIMARY KEY,
    repo INTEGER NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    branch TEXT NOT NULL,
    secret BLOB NOT NULL,
    creator TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (repo, name)
);
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    hook INTEGER NOT NULL,
    event TEXT NOT NULL,
    branch TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created INTEGER NOT NULL,
    due INTEGER,
    ended INTEGER,
    status INTEGER,
    answer TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX deliveries_hook ON deliveries (hook, seq);
CREATE INDEX deliveries_waiting ON deliveries (hook, seq) WHERE due IS NOT NULL;

CREATE TABLE robot_tokens (
    digest BLOB PRIMARY KEY,
    user TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER
) WITHOUT ROWID;
CREATE INDEX robot_tokens_user ON robot_tokens (user);
"""

# One entry a schema version; an entry is never changed once released, a new one is added.
MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)


class CatalogTooNew(errors.Error):
    """The catalog was written by a newer Tidegate than this one."""

    code = "InternalError"
    message = "The data folder was written by a newer version of Tidegate."


def migrate(connection: apsw.Connection) -> None:
    """Brings the catalog to the newest schema, in one transaction a step; safe beside others who try the same.

    Raises ``CatalogTooNew``.
    """
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = connection.pragma("user_version")
            if version > len(MIGRATIONS):
                raise CatalogTooNew
            if version < len(MIGRATIONS):
                connection.execute(MIGRATIONS[version])
                connection.pragma("user_version", version + 1)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        if version == len(MIGRATIONS):
            return
