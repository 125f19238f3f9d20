"""A fast S3 client without a signature, for servers with authentication off."""

from __future__ import annotations

import contextlib
import http.client
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

SECONDS = 60.0

_ENTRY = re.compile(r"<Contents>.*?</Contents>|<Version>.*?</Version>|<DeleteMarker>.*?</DeleteMarker>", re.DOTALL)


class Answer:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def etag(self) -> str:
        return self.headers["etag"]

    @property
    def code(self) -> str:
        """S3's error code; empty where there is none."""
        return element(self.body.decode(), "Code")

    def expect(self, status: int = 200) -> Answer:
        assert self.status == status, (self.status, self.body[:1000])
        return self


class Listed:
    """An entry of a listing."""

    def __init__(self, text: str) -> None:
        self.is_delete_marker = text.startswith("<DeleteMarker>")
        self.key = element(text, "Key")
        self.version_id = element(text, "VersionId")
        self.is_latest = element(text, "IsLatest") == "true"
        self.size = int(element(text, "Size") or 0)


class Client:
    """One connection, kept open. Raises ``OSError`` or ``http.client.HTTPException`` where it breaks."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **query: str
    ) -> Answer:
        """One request; ``path`` is ``bucket`` or ``bucket/key``. Underscores in names of the query stand for dashes."""
        words = urlencode(_dashed(query))
        target = f"/{quote(path)}?{words}" if words else f"/{quote(path)}"
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before the end
                self._connection.request(method, target, body, dict(headers or {}))
            response = self._connection.getresponse()
            content = response.read()
        except BaseException:
            self._connection.close()  # the next request begins a new one
            raise
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def put(self, path: str, body: bytes, **headers: str) -> Answer:
        return self.ask("PUT", path, body, _dashed(headers))

    def get(self, path: str, **query: str) -> Answer:
        return self.ask("GET", path, b"", None, **query)

    def copy(self, source: str, path: str) -> Answer:
        return self.ask("PUT", path, headers={"x-amz-copy-source": quote(f"/{source}")})

    def begin(self, path: str, part: bytes) -> tuple[str, str]:
        """Begins an upload with one part. Returns its id and the part's ETag."""
        upload = element(self.ask("POST", path, uploads="").expect().body.decode(), "UploadId")
        return upload, self.ask("PUT", path, part, uploadId=upload, partNumber="1").expect().etag

    def multipart(self, path: str, *parts: bytes) -> Answer:
        """Uploads and completes."""
        upload = element(self.ask("POST", path, uploads="").expect().body.decode(), "UploadId")
        etags = [
            self.ask("PUT", path, part, uploadId=upload, partNumber=str(number)).expect().etag
            for number, part in enumerate(parts, 1)
        ]
        return self.complete(path, upload, etags)

    def complete(self, path: str, upload: str, etags: list[str], **headers: str) -> Answer:
        wanted = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        document = f"<CompleteMultipartUpload>{wanted}</CompleteMultipartUpload>".encode()
        return self.ask("POST", path, document, _dashed(headers), uploadId=upload)

    def make_bucket(self, name: str, versioning: str = "") -> None:
        self.ask("PUT", name).expect()
        if versioning:
            self.set_versioning(name, versioning)

    def set_versioning(self, name: str, versioning: str) -> None:
        document = f"<VersioningConfiguration><Status>{versioning}</Status></VersioningConfiguration>"
        self.ask("PUT", name, document.encode(), versioning="").expect()

    def keys(self, bucket: str) -> Iterator[Listed]:
        """Every object that is listed."""
        token: dict[str, str] = {}
        while True:
            text = self.get(bucket, list_type="2", **token).expect().body.decode()
            yield from map(Listed, _ENTRY.findall(text))
            if element(text, "IsTruncated") != "true":
                return
            token = {"continuation_token": element(text, "NextContinuationToken")}

    def versions(self, bucket: str) -> Iterator[Listed]:
        """Every version and delete marker that is listed, newest first within a key."""
        position: dict[str, str] = {}
        while True:
            text = self.get(bucket, versions="", **position).expect().body.decode()
            yield from map(Listed, _ENTRY.findall(text))
            if element(text, "IsTruncated") != "true":
                return
            position = {
                "key_marker": element(text, "NextKeyMarker"),
                "version_id_marker": element(text, "NextVersionIdMarker"),
            }


def element(text: str, name: str) -> str:
    """The text of the first element of a name; empty where there is none."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return found[1] if found else ""


def _dashed(names: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in names.items()}
