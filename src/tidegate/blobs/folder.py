"""One of the data folders that blobs are spread over, and whether its disk is there.

The home folder has the catalog and no marker. Each further folder has a *marker*, a small file that says which store it
belongs to and which of its folders it is. Where the marker is not, the folder is not there: a disk that failed to mount
leaves an empty folder, which must not be taken for the one that had the blobs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tidegate.blobs.layout import NAME_SIZE, SHARDS
from tidegate.durable import sync, write_durably

BLOBS_FOLDER = "blobs"
MARKER = "tidegate-folder.json"

# A folder that failed a write gets no new blobs for this long: a full or failing disk is not tried by each request.
REST_SECONDS = 30.0


class Marker(msgspec.Struct, frozen=True):
    """What a further folder says of itself. ``home`` is where its catalog was when a server last worked on it, and
    ``generation`` how often that had been recovered.
    """

    store: str
    id: str
    number: int
    home: str
    generation: int = 0


def read_marker(folder: Path) -> Marker | None:
    """The marker of a folder; None where it has none. Raises ``OSError`` where that cannot be told."""
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=Marker)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None


def write_marker(folder: Path, marker: Marker) -> None:
    """Makes a folder the one that the marker says, durably."""
    write_durably(folder / MARKER, msgspec.json.encode(marker))


class Folder:
    """A folder by its number, and what was last seen of it. A set of folders is an integer with a bit for each.

    ``id`` is what its marker has to say; empty for the home folder. One that ``is_leaving`` gets no new blobs; one that
    is not given is not looked for.
    """

    def __init__(
        self, number: int, blobs: Path, id: str = "", *, is_leaving: bool = False, is_given: bool = True
    ) -> None:
        self.number = number
        self.bit = 1 << number
        self.id = id
        self.is_leaving = is_leaving
        self.is_given = is_given
        self.blobs = blobs
        self.is_there = not id
        self.free = 0
        self.reads = 0  # under way
        self._rests_until = 0.0

    def file(self, name: bytes) -> Path:
        """Where the blob of a name is, or would be."""
        text = name.hex()
        return self.blobs / text[:2] / text

    @property
    def takes(self) -> bool:
        """Whether new blobs may be placed here."""
        return self.is_there and not self.is_leaving and time.monotonic() >= self._rests_until

    def rest(self) -> None:
        """Keeps new blobs away for a while."""
        self._rests_until = time.monotonic() + REST_SECONDS

    # --- these ask the disk: to be called in a thread ----------------------------------------------------------------

    def look(self) -> None:
        """Sees whether the folder is there and how many bytes are free."""
        if not self.is_given:
            return
        was_there = self.is_there
        try:
            if self.id:
                marker = read_marker(self.blobs.parent)
                self.is_there = marker is not None and marker.id == self.id
                if self.is_there:
                    self.prepare()
            space = os.statvfs(self.blobs)
            self.free = space.f_bavail * space.f_frsize
        except OSError:
            self.is_there = not self.id
        if self.is_there and not was_there:
            self._rests_until = 0.0

    def prepare(self) -> None:
        """Makes what is missing of the folders that files are in, durably."""
        if (self.blobs / f"{SHARDS - 1:02x}").exists():  # the last one: all were made
            return
        for shard in range(SHARDS):
            (self.blobs / f"{shard:02x}").mkdir(mode=0o700, parents=True, exist_ok=True)
        # What is durable in a folder is lost all the same with the folder.
        sync(self.blobs)
        sync(self.blobs.parent)

    def names(self) -> Iterator[tuple[bytes, int]]:
        """The blobs here, finished or not, and when each was last written, in microseconds."""
        for shard in range(SHARDS):
            with os.scandir(self.blobs / f"{shard:02x}") as files:
                for file in files:
                    try:
                        name = bytes.fromhex(file.name)
                        written = file.stat().st_mtime_ns // 1000
                    except (ValueError, FileNotFoundError):
                        continue
                    if len(name) == NAME_SIZE:
                        yield name, written
