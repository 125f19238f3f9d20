"""Properties as a command line gives them: ``k=v``, ``k v`` or JSON; and what a change of them looks like.

Pure functions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tidegate import errors
from tidegate.cli.ais import compact
from tidegate.properties import flatten


def parse(words: Sequence[str]) -> dict[str, object]:
    """The properties by flat name, in ``["a=1", "b=2"]``, ``["a", "1"]`` or ``['{"a": 1}']``.

    Raises ``InvalidArgument``.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        return _from_json(words[0])
    if any("=" in word for word in words):
        pairs = [word.partition("=") for word in words]
        if bad := [name for name, equals, _ in pairs if not (equals and name)]:
            raise errors.InvalidArgument(f'invalid property "{bad[0]}": expected KEY=VALUE')
        return {name: value for name, _, value in pairs}
    if len(words) == 2:
        return {words[0]: words[1]}
    raise errors.InvalidArgument("expected KEY=VALUE, KEY VALUE or JSON, not " + " ".join(words))


def parse_text(line: str) -> dict[str, object]:
    """The properties in one argument, as ``--props "a=1 b=2"``. Raises ``InvalidArgument``."""
    return parse([line] if line.lstrip().startswith("{") else line.split())


def is_assignment(words: Sequence[str]) -> bool:
    """Whether words set something; a single name asks for its value."""
    return len(words) > 1 or any("=" in word or word.lstrip().startswith("{") for word in words)


def below(flat: Mapping[str, object], prefix: str) -> dict[str, object]:
    """The properties of a section, or the one of that name."""
    prefix = prefix.rstrip(".")
    return {name: value for name, value in flat.items() if name == prefix or name.startswith(f"{prefix}.")}


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """A line for each property that changed: ``"checksum.type" set to: "md5" (was: "xxhash")``."""
    before, after = compact.readable(before), compact.readable(after)
    for name, value in after.items():
        if before.get(name) != value:
            yield f'"{name}" set to: "{_plain(value)}" (was: "{_plain(before.get(name, ""))}")'


def names(flat: Iterable[str]) -> set[str]:
    """The names of properties and of the sections they are in."""
    return {".".join(name.split(".")[:depth]) for name in flat for depth in range(1, name.count(".") + 2)}


def similar(name: str, names: Iterable[str]) -> str:
    """A question whether another name was meant, or nothing."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f'Did you mean "{found[0]}"?' if found else ""


def meant(message: str, changes: Iterable[str], known: Mapping[str, object]) -> str:
    """A question whether another name was meant, where a message says that one of the changes has none."""
    unknown = [name for name in changes if name not in known and f'unknown property "{name}"' in message]
    return similar(unknown[0], known) if unknown else ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_json(document: str) -> dict[str, object]:
    try:
        tree = msgspec.json.decode(document, type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise errors.InvalidArgument(f"invalid JSON: {error}") from None
    return dict(flatten(tree))
