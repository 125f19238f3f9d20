"""An object's checksum, as the native API's headers carry it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidegate.cli.failures import Failure
from tidegate.cli.transport import BLOCK

if TYPE_CHECKING:
    from tidegate.checksums import Hasher

TYPE: Final = "Ais-Checksum-Type"
VALUE: Final = "Ais-Checksum-Value"


def headers(kind: str, value: str) -> dict[str, str]:
    """The headers that tell a checksum."""
    return {TYPE: kind, VALUE: value.lower()}


def hasher(kind: str) -> Hasher:
    """A hasher of one of AIStore's types. Raises ``Failure``."""
    from tidegate import checksums

    try:
        return checksums.new(checksums.DIGESTS["xxhash" if kind == "xxhash2" else kind])
    except KeyError:
        raise Failure(f'checksums of type "{kind}" are not computed here') from None


def of_file(path: Path, kind: str) -> str:
    """The checksum of a file's content, in hexadecimal."""
    digest = hasher(kind)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.digest().hex()


def told(answer: Mapping[str, str]) -> tuple[str, str]:
    """The type and the value in an answer's headers; empty where there is none."""
    kind = answer.get(TYPE, "")
    return ("", "") if kind == "none" else (kind, answer.get(VALUE, ""))
