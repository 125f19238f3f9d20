"""The file in which Pachyderm's clients keep where the server is, who one is, and in which project one works.

It is ``~/.pachyderm/config.json``, or what ``PACH_CONFIG`` names. Whatever else is in it stays as it is: a context that
belongs to a Pachyderm cluster (its address is no HTTP) is neither used nor changed; ours is then one of its own.

Source: Pachyderm's configuration, version 2.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from tidegate.cli import secrets
from tidegate.cli.failures import Failure

_FILE: Final = Path(".pachyderm/config.json")
_OWN: Final = "tidegate"
_SCHEMES: Final = ("http://", "https://")

Tree = dict[str, object]


class Context(msgspec.Struct, frozen=True):
    """What is kept about a server. ``session_token`` is for the server at ``pachd_address`` and no other."""

    pachd_address: str = ""
    session_token: str = ""
    project: str = ""


def path() -> Path:
    """Where the file is."""
    given = os.environ.get("PACH_CONFIG", "")
    return Path(given) if given else Path.home() / _FILE


def context() -> tuple[str, Context]:
    """The context that we work in, and its name. Raises ``Failure`` for a file that is broken."""
    tree = _read()
    name = _chosen(tree)
    try:
        return name, msgspec.convert(_context(tree, name), Context)
    except msgspec.ValidationError as error:
        raise Failure(f"{path()}: context {name}: {error}") from None


def update(**changes: str) -> str:
    """Changes our context's values; an empty one is taken out. The context's name."""
    tree = _read()
    name = _chosen(tree)
    found = _context(tree, name)
    found.update(changes)
    for key in [key for key, value in found.items() if value == ""]:
        del found[key]
    second = _branch(tree, "v2")
    _branch(second, "contexts")[name] = found
    second.setdefault("active_context", name)
    secrets.keep(path(), msgspec.json.format(msgspec.json.encode(tree), indent=2) + b"\n")
    return name


def _read() -> Tree:
    try:
        return msgspec.json.decode(path().read_bytes(), type=dict[str, object])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise Failure(f"cannot read {path()}: {getattr(error, 'strerror', None) or error}") from None


def _chosen(tree: Tree) -> str:
    """The active context, if it is of a server that speaks HTTP."""
    name = _branch(tree, "v2").get("active_context")
    if not isinstance(name, str) or not name:
        return _OWN
    address = _context(tree, name).get("pachd_address")
    return name if name == _OWN or (isinstance(address, str) and address.startswith(_SCHEMES)) else _OWN


def _context(tree: Tree, name: str) -> Tree:
    return _branch(_branch(_branch(tree, "v2"), "contexts"), name)


def _branch(tree: Tree, name: str) -> Tree:
    """A subtree, which is made where there is none."""
    found = tree.setdefault(name, {})
    if not isinstance(found, dict):
        raise Failure(f"{path()}: {name} is no object")
    return found
