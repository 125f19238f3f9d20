"""Files that may become objects without passing over the network: those of folders that a setting names.

Every step down from such a folder is taken by its descriptor and follows no symbolic link, so that no path, and nobody
who may write to the folder, can lead out of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from tidegate import errors

# Each level costs a descriptor while the walk is in it.
MAX_DEPTH = 100

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe is opened without waiting for who writes to it, to be seen for what it is.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Which file it was, and as of when."""

    device: int
    inode: int
    size: int
    modified: int


class Promotable:
    """The folders that are open for promotion."""

    def __init__(self, roots: Sequence[Path]) -> None:
        # A folder may be given, and asked for, by a link to it.
        self._roots = [(given, given.resolve()) for given in (root.absolute() for root in roots)]

    def locate(self, path: str) -> tuple[str, str]:
        """The open folder that a path is in, and the rest of the path. Looks at no file.

        Raises ``AccessDenied`` outside of all of them, ``InvalidArgument`` for a path that is not absolute or goes up.
        """
        pure = PurePosixPath(path)
        if not pure.is_absolute() or ".." in pure.parts or "\0" in path:
            raise errors.InvalidArgument(f'"{path}" is not an absolute path without ".."')
        for given, root in self._roots:
            for way in (given, root):
                if pure.is_relative_to(way):
                    return str(root), str(pure.relative_to(way))
        if not self._roots:
            raise errors.AccessDenied("No folder is open for promotion: a server is told which by --promote-from.")
        raise errors.AccessDenied(f"{path} is not in a folder that is open for promotion.")

    def has(self, root: str) -> bool:
        """Whether a folder is still one of them."""
        return any(root == str(resolved) for _, resolved in self._roots)


def is_folder(root: str, path: str) -> bool:
    """Whether there is a folder rather than a file. Raises ``InvalidArgument`` where there is neither."""
    descriptor = open_below(root, path)
    try:
        mode = os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise errors.InvalidArgument(f'"{path}" is neither a file nor a folder')
    return stat.S_ISDIR(mode)


def open_below(root: str, path: str) -> int:
    """A descriptor of what is at a relative path below a folder. Raises ``InvalidArgument``."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    try:
        descriptor = os.open(root, _FOLDER)
        for number, part in enumerate(parts, 1):
            above = descriptor
            try:
                descriptor = os.open(part, _FILE if number == len(parts) else _FOLDER, dir_fd=above)
            finally:
                os.close(above)
    except OSError as error:
        raise errors.InvalidArgument(f'cannot open "{path}" in {root}: {error.strerror}') from None
    return descriptor


def files_below(root: str, path: str, *, is_recursive: bool, after: str = "") -> Iterator[str]:
    """The paths of the regular files in a folder, relative to it, in a fixed order, from the one after ``after`` on.

    Links, pipes and the like are passed over. Raises ``InvalidArgument`` for a folder that cannot be read or is too
    deep.
    """
    descriptor = open_below(root, path)
    try:
        yield from _walk(descriptor, "", after.split("/") if after else [], is_recursive=is_recursive)
    finally:
        os.close(descriptor)


def _walk(folder: int, prefix: str, after: list[str], *, is_recursive: bool) -> Iterator[str]:
    """Depth first, by name. ``after`` is the rest of the path to go on after."""
    if prefix.count("/") > MAX_DEPTH:
        raise errors.InvalidArgument(f"folders lie in each other more than {MAX_DEPTH} deep")
    first = after[0] if after else ""
    for name in sorted(os.listdir(folder)):
        if name < first:
            continue
        rest = after[1:] if name == first else []
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISREG(mode) and (name != first or rest):
            yield prefix + name
        elif stat.S_ISDIR(mode) and is_recursive:
            try:
                below = os.open(name, _FOLDER, dir_fd=folder)
            except PermissionError:
                raise errors.InvalidArgument(f'the folder "{prefix}{name}" cannot be read') from None
            except OSError:
                continue  # gone, or a link by now
            try:
                yield from _walk(below, f"{prefix}{name}/", rest, is_recursive=True)
            finally:
                os.close(below)


def identify(descriptor: int) -> Identity | None:
    """Which regular file this is; None where it is none."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return None
    return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def remove(root: str, path: str, identity: Identity) -> None:
    """Removes a file that was promoted, unless there is another by now, or it was written to since."""
    folder, _, name = path.rpartition("/")
    try:
        above = open_below(root, folder)
    except errors.InvalidArgument:
        return
    try:
        found = os.stat(name, dir_fd=above, follow_symlinks=False)
        if Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) == identity:
            os.unlink(name, dir_fd=above)
    except FileNotFoundError:
        return
    finally:
        os.close(above)
