"""Archives as the standard library makes and reads them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping

FORMATS = ("tar", "tgz", "zip")


def archive(kind: str, files: Mapping[str, bytes]) -> bytes:
    """The files in an archive of a format."""
    held = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(fileobj=held, mode="w:gz" if kind == "tgz" else "w") as packed:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
    return held.getvalue()


def unpacked(kind: str, data: bytes) -> list[tuple[str, bytes]]:
    """The files in an archive of a format, or of a name that ends with one, in order."""
    if kind.endswith("zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return [(info.filename, packed.read(info)) for info in packed.infolist()]
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        opened = [(member.name, packed.extractfile(member)) for member in packed if member.isreg()]
        return [(name, file.read()) for name, file in opened if file is not None]
