"""What several test modules of the native API need: archives made by the standard library, and buckets' properties."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping

import requests
from aistore.sdk import Bucket

from tidegate.testing import Server

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


def files_in(data: bytes) -> dict[str, bytes]:
    """The files in a tar archive, compressed or not."""
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        opened = {member.name: packed.extractfile(member) for member in packed}
        return {name: file.read() for name, file in opened.items() if file is not None}


def set_properties(server: Server, bucket: Bucket, properties: Mapping[str, object]) -> None:
    """Sets properties of a bucket."""
    message = json.dumps({"action": "set-bprops", "value": properties})
    assert requests.patch(f"{server.url}/v1/buckets/{bucket.name}", data=message).status_code == 200
