"""The data folders of a store, by number: where each was last seen, and by which id its marker knows it.

Number 0 is the home folder, which has this catalog; its id is the store's. Its generation says how often the store was
recovered from a copy of its catalog: what is left of the home folder before that must not be served again.
"""

from __future__ import annotations

import secrets

import msgspec

from tidegate import errors
from tidegate.catalog.abc import Reader, Transaction

# A folder is a bit of a 64-bit integer with a sign; AIStore takes 32 copies at most.
MAX_FOLDERS = 32


class KnownFolder(msgspec.Struct, frozen=True):
    """A folder that the store has had blobs in. One that ``is_leaving`` is being given up."""

    number: int
    id: str
    path: str
    is_leaving: bool = False
    generation: int = 0


def everyone(tx: Reader) -> list[KnownFolder]:
    """The folders, the home folder first."""
    rows = tx.rows("SELECT number, id, path, is_leaving, generation FROM folders ORDER BY number")
    return [KnownFolder(number, id, path, bool(leaving), generation) for number, id, path, leaving, generation in rows]


def new_id() -> str:
    """An id for a folder that is taken up."""
    return secrets.token_hex(16)


def next_number(tx: Reader) -> int:
    """The number that a new folder gets. Raises ``InvalidArgument`` where there are too many."""
    taken = {folder.number for folder in everyone(tx)}
    for number in range(MAX_FOLDERS):
        if number not in taken:
            return number
    raise errors.InvalidArgument(f"a store has at most {MAX_FOLDERS} data folders")


def put(tx: Transaction, folder: KnownFolder) -> None:
    """Takes a folder up, or takes down what has changed of it."""
    tx.touch_names()
    tx.execute(
        "INSERT OR REPLACE INTO folders (number, id, path, is_leaving, generation) VALUES (?, ?, ?, ?, ?)",
        (folder.number, folder.id, folder.path, int(folder.is_leaving), folder.generation),
    )


def remove(tx: Transaction, number: int) -> None:
    """Forgets a folder."""
    tx.touch_names()
    tx.execute("DELETE FROM folders WHERE number = ?", (number,))


def is_used(tx: Reader, number: int) -> bool:
    """Whether a blob has a copy in a folder. Reads all blobs where none has."""
    return tx.one("SELECT 1 FROM blobs WHERE folders & ? AND file IS NOT NULL LIMIT 1", (1 << number,)) is not None
