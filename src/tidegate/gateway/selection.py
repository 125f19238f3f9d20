"""Which objects of a bucket: a list of names, a template such as ``shard-{000..099}.tar``, or a prefix.

Pure values and functions. A template is never expanded: any of its names is found by its number, so that what works
through them can go on in the middle.

Source: AIStore's list-range messages, whose templates are bash's brace expansion of numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from tidegate import errors
from tidegate.names import MAX_KEY_BYTES

# Names in one list: some MB in a row of the catalog. A template has no such need.
MAX_NAMES = 200_000
# Names that a template stands for. To look each up takes a minute; what has more is a slip of the finger.
MAX_SELECTED = 10_000_000
MAX_RANGES = 10

_RANGE = re.compile(r"\{(\d{1,15})\.\.(\d{1,15})(?:\.\.(\d{1,15}))?\}", re.ASCII)


class Names(msgspec.Struct, frozen=True, tag="names"):
    """These objects."""

    names: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.names)

    def part(self, start: int, count: int) -> Sequence[str]:
        """Up to ``count`` names from the ``start``-th on."""
        return self.names[start : start + count]


class Numbers(msgspec.Struct, frozen=True):
    """The numbers of one pair of braces, padded with zeros to ``width``."""

    first: int
    last: int
    step: int
    width: int

    @property
    def count(self) -> int:
        return (self.last - self.first) // self.step + 1

    def text(self, index: int) -> str:
        return str(self.first + index * self.step).zfill(self.width)


class Ranges(msgspec.Struct, frozen=True, tag="ranges"):
    """Every combination of the numbers, with ``texts`` before, between and after them."""

    texts: tuple[str, ...]
    numbers: tuple[Numbers, ...]

    @property
    def count(self) -> int:
        return math.prod(numbers.count for numbers in self.numbers)

    def part(self, start: int, count: int) -> Sequence[str]:
        """Up to ``count`` names from the ``start``-th on. The last number changes fastest."""
        return [self._name(index) for index in range(start, min(start + count, self.count))]

    def _name(self, index: int) -> str:
        pieces = [self.texts[-1]]
        for numbers, text in zip(reversed(self.numbers), reversed(self.texts[:-1]), strict=True):
            index, place = divmod(index, numbers.count)
            pieces += (numbers.text(place), text)
        return "".join(reversed(pieces))


class Prefix(msgspec.Struct, frozen=True, tag="prefix"):
    """Whatever begins so; all of a bucket where it is empty."""

    prefix: str = ""


Selection = Names | Ranges | Prefix


def parse(names: Sequence[str] | None, template: str | None) -> Selection:
    """The selection of a message that has either a list or a template. Raises ``InvalidArgument``."""
    if (names is None) == (template is None):
        raise errors.InvalidArgument("a selection has either a list of names or a template")
    if names is not None:
        return _names(names)
    return parse_template(template or "")


def _names(names: Sequence[str]) -> Names:
    if not names:
        raise errors.InvalidArgument("the list of names is empty")
    if len(names) > MAX_NAMES:
        raise errors.InvalidArgument(f"a list has at most {MAX_NAMES} names, this one has {len(names)}: use a template")
    for name in names:
        check_key(name)
    return Names(tuple(dict.fromkeys(names)))


def check_key(key: str) -> None:
    """Raises ``InvalidArgument`` for what no object can be called, ``KeyTooLongError``."""
    if not key or "\0" in key:
        raise errors.InvalidArgument("the name of an object is not empty and has no U+0000")
    if (size := len(key.encode())) > MAX_KEY_BYTES:
        raise errors.KeyTooLongError(
            f'the name "{key[:50]}..." is too long', Size=str(size), MaxSizeAllowed=str(MAX_KEY_BYTES)
        )


def parse_template(template: str) -> Ranges | Prefix:
    """The names that a template stands for; without braces it is a prefix. Raises ``InvalidArgument``."""
    if len(template.encode()) > MAX_KEY_BYTES:
        raise errors.InvalidArgument(f"a template has at most {MAX_KEY_BYTES} bytes")
    *pieces, last = _RANGE.split(template)
    texts = (*pieces[::4], last)
    if any(brace in text for text in texts for brace in "{}\0"):
        raise errors.InvalidArgument(
            f'invalid template "{template}": braces hold a range of numbers, such as {{0..9}} or {{000..100..10}}'
        )
    if not pieces:
        return Prefix(template)
    if len(pieces) > 4 * MAX_RANGES:
        raise errors.InvalidArgument(f'invalid template "{template}": it has more than {MAX_RANGES} ranges')
    bounds = zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True)
    ranges = Ranges(texts, tuple(_numbers(template, *bound) for bound in bounds))
    if ranges.count > MAX_SELECTED:
        raise errors.InvalidArgument(
            f'the template "{template}" stands for {ranges.count} names: at most {MAX_SELECTED} can be selected at once'
        )
    return ranges


def _numbers(template: str, first: str, last: str, step: str | None) -> Numbers:
    is_padded = any(len(text) > 1 and text[0] == "0" for text in (first, last))
    numbers = Numbers(int(first), int(last), int(step or 1), max(len(first), len(last)) if is_padded else 0)
    if numbers.step == 0 or numbers.first > numbers.last:
        raise errors.InvalidArgument(f'invalid template "{template}": a range goes up, in steps of 1 or more')
    return numbers


class Renaming(msgspec.Struct, frozen=True):
    """How copies are called: ``extensions`` maps an extension without its dot to another; ``prepend`` comes first."""

    prepend: str = ""
    extensions: Mapping[str, str] = {}

    def name(self, key: str) -> str:
        """The name of a copy."""
        for old in sorted(self.extensions, key=len, reverse=True):
            stem = key.removesuffix(f".{old}")
            if stem != key:
                key = f"{stem}.{self.extensions[old]}"
                break
        return self.prepend + key


SAME_NAMES = Renaming()


def renaming(prepend: str, extensions: Mapping[str, str]) -> Renaming:
    """Extensions may have their dots. Raises ``InvalidArgument``."""
    plain = {old.removeprefix("."): new.removeprefix(".") for old, new in extensions.items()}
    for text in (*plain, *plain.values()):
        if not text or "/" in text or "\0" in text:
            raise errors.InvalidArgument(f'"{text}" is not the extension of a file name')
    return Renaming(prepend, plain)
