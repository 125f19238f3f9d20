"""Which objects a command means: names in a list, a template such as ``shard-{000..999}.tar``, or a prefix.

Pure functions.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Final

from tidegate import errors

# More names than anybody means; the server has the same limit.
MAX_NAMES: Final = 10_000_000

_RANGE = re.compile(r"\{(?P<first>\d+)\.\.(?P<last>\d+)(?:\.\.(?P<step>\d+))?\}")


def names(listed: str) -> list[str]:
    """The names between commas; spaces around them are nothing."""
    return [name for name in (each.strip() for each in listed.split(",")) if name]


def is_template(text: str) -> bool:
    """Whether a text has a range in it."""
    return _RANGE.search(text) is not None


def expand(template: str) -> Iterator[str]:
    """The names that a template stands for, each of its ranges from first to last; as wide as the first is written.

    Raises ``InvalidArgument``.
    """
    ranges = list(_RANGE.finditer(template))
    if not ranges:
        raise errors.InvalidArgument(
            f'invalid template "{template}": it needs a range, for instance shard-{{000..999}}.tar'
        )
    numbers = []
    for each in ranges:
        first, last, step = int(each["first"]), int(each["last"]), int(each["step"] or 1)
        if last < first or step == 0:
            raise errors.InvalidArgument(f'invalid range "{each[0]}": it has to ascend')
        numbers.append(range(first, last + 1, step))
    if math.prod(map(len, numbers)) > MAX_NAMES:
        raise errors.InvalidArgument(f'the template "{template}" stands for more than {MAX_NAMES} names')
    widths = [len(each["first"]) for each in ranges]
    texts = _RANGE.sub("\0", template).split("\0")
    return (
        "".join(f"{text}{number:0{width}}" for text, number, width in zip(texts, chosen, widths, strict=False))
        + texts[-1]
        for chosen in itertools.product(*numbers)
    )


def message(listed: str, template: str, prefix: str) -> dict[str, object]:
    """The selection as the native API's list-range actions take it; empty for everything.

    Raises ``InvalidArgument`` where several are given.
    """
    given = [each for each in (listed, template, prefix) if each]
    if len(given) > 1:
        raise errors.InvalidArgument("--list, --template and --prefix exclude each other")
    if listed:
        return {"objnames": names(listed)}
    if template or prefix:
        return {"template": template or prefix}
    return {}


def shown(listed: str, template: str, prefix: str) -> str:
    """The selection as AIStore's messages show it: ``[a b]``, or the template or prefix in quotes."""
    return f"[{' '.join(names(listed))}]" if listed else f'"{template or prefix}"'
