"""Which files of an archive are meant: by the beginning or end of their names, a part of it, a regular expression, or
the key of a sample.

Source: AIStore's modes ``archmode``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from tidegate import errors
from tidegate.gateway.archives import plain
from tidegate.gateway.regexp import Pattern

Matches = Callable[[str], bool]


class Mode(StrEnum):
    """How a text is compared with names."""

    REGEXP = "regexp"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    SUBSTR = "substr"
    WDSKEY = "wdskey"


def matcher(mode: str, text: str) -> Matches:
    """A test of names. Raises ``InvalidArgument``."""
    match mode:
        case Mode.REGEXP:
            return Pattern(text).search
        case Mode.PREFIX:
            return lambda name: plain(name).startswith(plain(text))
        case Mode.SUFFIX:
            return lambda name: name.endswith(text)
        case Mode.SUBSTR:
            return lambda name: text in name
        case Mode.WDSKEY:
            return lambda name: sample_key(plain(name)) == plain(text)
    raise errors.InvalidArgument(f'invalid archmode "{mode[:100]}": none of {", ".join(Mode)}')


def sample_key(name: str) -> str:
    """What the files of one sample have in common: all before the first dot of the last part of the name.

    Source: the WebDataset format.
    """
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]
