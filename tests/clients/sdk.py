"""What the tests of boto3 share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Pipe(io.RawIOBase):
    """A stream that can only be read, and only once."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._data.readinto(buffer)


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """Status and code of what was refused."""
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def read(client: Any, bucket: str, key: str, **options: Any) -> bytes:
    """An object's bytes, their checksum verified as boto3 does by itself."""
    with client.get_object(Bucket=bucket, Key=key, **options)["Body"] as body:
        return body.read()
