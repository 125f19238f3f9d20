r"""A container of Azure Blob Storage, by its REST API.

Azure's servers take some keys for others (``a/../b``, ``a\\b``, a dot at the end): those are refused here. Names of
metadata are identifiers there, so what is none in a name is written as .NET writes it (``s3cmd-attrs`` is
``s3cmd_x002d_attrs``) and read back. Parts of an upload that comes to nothing cannot be removed: Azure does so itself
within a week, or when the blob is written.

Source: Azure Storage, "Blob service REST API"; XmlConvert.EncodeLocalName for the names.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from tidegate import checksums, errors
from tidegate.model import EMPTY, STORED_HEADERS
from tidegate.upstream import azure_keys, documents, keys, listing, times, upload
from tidegate.upstream.abc import Entry, Page, Piece, RemoteObject, Removed
from tidegate.upstream.download import asked, download, size_of
from tidegate.upstream.faults import Refusal, fault
from tidegate.upstream.wire import PATIENCE, Answer, Patience, Request, Wire, encode

PAGE: Final = 5000
_METADATA: Final = "x-ms-meta-"
# A blob has no such property, so it is metadata.
_EXPIRES: Final = "tidegate_expires"
_PROPERTIES: Final = tuple(name for name in STORED_HEADERS if name != "expires")
# How often a copy that takes its time is looked at.
_COPY_SECONDS: Final = 0.5

_ESCAPED: Final = re.compile(r"_x([0-9a-f]{4})_")
_FOREIGN: Final = re.compile(r"[^a-z0-9_]|^[0-9]|_(?=x[0-9a-f]{4}_)")
_NOT_A_KEY: Final = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\\]")


class AzureContainer:
    """An ``Upstream``. The environment says which account it is in, and who we are."""

    def __init__(self, uri: str, container: str, environment: Mapping[str, str], patience: Patience = PATIENCE) -> None:
        self.uri = uri
        self._account = azure_keys.account(uri, environment)
        self._container = f"/{encode(container)}"
        self._wire = Wire(uri, environment, patience)
        self._signer = azure_keys.Signer(uri, self._wire, self._account, environment)
        self._cutter = upload.Cutter()
        self._endings = upload.Endings()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._ask("GET", None, {"restype": "container", "comp": "list", "maxresults": "1"})

    async def head(self, key: str) -> RemoteObject:
        answer = await self._ask("HEAD", key)
        return _described(key, answer, size_of(self.uri, answer))

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        async def ask(start: int, stop: int | None, if_match: str | None) -> Answer:
            headers = asked(start, stop, if_match, name="x-ms-range")
            return await self._ask("GET", key, headers=headers, is_stream=True)

        def describe(answer: Answer, size: int) -> RemoteObject:
            return _described(key, answer, size)

        return await download(self.uri, key, ask, describe, start=start, stop=stop, if_match=if_match)

    async def list(
        self, *, prefix: str = "", delimiter: str = "", after: str = "", token: str = "", limit: int = 1000
    ) -> Page:
        query = {
            "restype": "container",
            "comp": "list",
            "maxresults": str(min(limit, PAGE)),
            "prefix": prefix,
            "delimiter": delimiter,
        }

        async def fetch(token: str) -> tuple[Sequence[Entry], Sequence[str], str]:
            full = {name: value for name, value in (query | {"marker": token}).items() if value}
            answer = await self._ask("GET", None, full)
            return await asyncio.to_thread(self._listed, answer.body)

        return await listing.page(
            fetch, self.list, prefix=prefix, delimiter=delimiter, after=after, token=token, limit=limit
        )

    # --- writing -----------------------------------------------------------------------------------------------------

    async def put(
        self,
        key: str,
        body: AsyncIterable[Piece],
        *,
        size: int | None = None,
        headers: Mapping[str, str] = EMPTY,
        metadata: Mapping[str, str] = EMPTY,
        digest: tuple[str, str] | None = None,
        tags: Mapping[str, str] = EMPTY,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> RemoteObject:
        keys.check_no_tags(self.uri, tags)
        described = _describing(headers, metadata, digest)
        condition = {"if-none-match": "*"} if if_none_match else {}
        if if_match is not None:
            condition = {"if-match": f'"{if_match}"'}
        md5 = checksums.new("MD5")
        async with aclosing(self._cutter.parts(body, size, upload.part_size(size), whole=md5)) as parts:
            first = await anext(parts)
            total = len(first.data)
            if first.is_last:
                kind = {"x-ms-blob-type": "BlockBlob", "content-md5": b64encode(first.md5).decode()}
                try:
                    answer = await self._ask(
                        "PUT", key, headers=described | condition | kind, body=first.data, repeats=not condition
                    )
                finally:
                    self._cutter.done()
            else:
                names, total = await self._put_blocks(key, first, parts)
                blocks = documents.written("BlockList", *(documents.element("Latest", name) for name in names))
                whole = {"x-ms-blob-content-md5": b64encode(md5.digest()).decode()}
                answer = await self._ask(
                    "PUT",
                    key,
                    {"comp": "blocklist"},
                    headers=described | condition | whole,
                    body=blocks,
                    repeats=not condition,
                    is_long=True,
                )
        return RemoteObject(
            key,
            total,
            answer.headers.get("etag", "").strip('"'),
            times.from_http(answer.headers.get("last-modified", "")),
            answer.headers.get("x-ms-version-id", ""),
            {name: headers[name] for name in STORED_HEADERS if name in headers},
            dict(metadata),
            {"MD5": b64encode(md5.digest()).decode()},
            digest,
        )

    async def delete(self, key: str, *, if_match: str | None = None) -> Removed:
        condition = {} if if_match is None else {"if-match": f'"{if_match}"'}
        headers = {"x-ms-delete-snapshots": "include", **condition}
        try:
            await self._ask("DELETE", key, headers=headers, repeats=not condition)
        except errors.NoSuchKey:
            if condition:
                raise
        return Removed()

    async def copy(
        self,
        source: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        digest: tuple[str, str] | None = None,
        if_match: str | None = None,
    ) -> RemoteObject:
        was = await self.head(source)
        if if_match is not None and was.etag != if_match:
            raise errors.PreconditionFailed(f"{self.uri}: the source of the copy is another object", Key=source)
        described = {} if headers is None or metadata is None else _describing(headers, metadata, digest)
        place = self._account.origin
        address = Request("GET", place, self._path(source), self._account.signature)
        asked = {
            "x-ms-copy-source": f"{place.scheme}://{place.authority}{address.target}",
            "x-ms-source-if-match": f'"{was.etag}"',
        }
        told = {name: value for name, value in described.items() if name.startswith(_METADATA)}
        answer = await self._ask("PUT", key, headers=asked | told, is_long=True)
        while answer.headers.get("x-ms-copy-status") == "pending":
            await asyncio.sleep(_COPY_SECONDS)
            answer = await self._ask("HEAD", key)
        if answer.headers.get("x-ms-copy-status", "success") != "success":
            raise errors.RemoteUnavailable(f"{self.uri}: the remote did not finish a copy", Key=key)
        if headers is not None:
            # A copy takes the properties with it, which are set all at once, and without new metadata the old.
            if not told:
                await self._ask("PUT", key, {"comp": "metadata"})
            kept = {"x-ms-blob-content-md5": was.checksums["MD5"]} if "MD5" in was.checksums else {}
            wanted = {name: value for name, value in described.items() if not name.startswith(_METADATA)}
            await self._ask("PUT", key, {"comp": "properties"}, headers=wanted | kept)
        return await self.head(key)

    async def close(self) -> None:
        await self._endings.finish()
        await self._wire.close()

    async def buckets(self) -> tuple[str, ...]:
        """The names of all containers of the account, in order."""
        names: set[str] = set()
        query = {"comp": "list"}
        while True:
            answer = await self._send("GET", "/", query)
            root = documents.parse(self.uri, answer.body, "EnumerationResults")
            for group in documents.children(root, "Containers"):
                names |= {documents.text(item, "Name") for item in documents.children(group, "Container")}
            query["marker"] = documents.text(root, "NextMarker")
            if not query["marker"]:
                return tuple(sorted(names))

    async def _put_blocks(
        self, key: str, first: upload.Part, parts: AsyncGenerator[upload.Part, None]
    ) -> tuple[Sequence[str], int]:
        """Sends a body in blocks. Their names, which nobody else gives to blocks of the same blob."""
        mine = secrets.token_hex(8)

        async def send(part: upload.Part) -> str:
            name = b64encode(f"{mine}-{part.number:06}".encode()).decode()
            promise = {"content-md5": b64encode(part.md5).decode()}
            await self._ask("PUT", key, {"comp": "block", "blockid": name}, headers=promise, body=part.data)
            return name

        async def give_up() -> None:
            """There is nothing that could be done."""

        return await upload.send_parts(self._cutter, first, parts, send, self._endings, give_up)

    # --- requests ----------------------------------------------------------------------------------------------------

    def _path(self, key: str) -> str:
        keys.check(self.uri, key)
        segments = key.split("/")
        if _NOT_A_KEY.search(key) or key.endswith(".") or "." in segments or ".." in segments:
            raise errors.UnrepresentableKey(
                f'{self.uri}: Azure has no blobs with "." or ".." between slashes, a dot at the end, a backslash or '
                "control characters in their names",
                Key=key,
            )
        return f"{self._container}/{encode(key, '/')}"

    async def _ask(
        self,
        method: str,
        key: str | None,
        query: Mapping[str, str] = EMPTY,
        *,
        headers: Mapping[str, str] = EMPTY,
        body: bytes | bytearray = b"",
        repeats: bool = True,
        is_long: bool = False,
        is_stream: bool = False,
    ) -> Answer:
        path = self._container if key is None else self._path(key)
        return await self._send(
            method, path, query, headers, body, key=key, repeats=repeats, is_long=is_long, is_stream=is_stream
        )

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = EMPTY,
        headers: Mapping[str, str] = EMPTY,
        body: bytes | bytearray = b"",
        *,
        key: str | None = None,
        repeats: bool = True,
        is_long: bool = False,
        is_stream: bool = False,
    ) -> Answer:
        request = Request(
            method,
            self._account.origin,
            path,
            tuple(query.items()),
            headers,
            body,
            repeats=repeats,
            is_long=is_long,
            is_stream=is_stream,
        )
        answer = await self._wire.send(request, self._signer.sign)
        if answer.status < 300:
            return answer
        refusal = documents.refusal(answer.status, answer.body)
        code = answer.headers.get("x-ms-error-code") or refusal.code
        raise fault(self.uri, Refusal(answer.status, code, refusal.words), key)

    def _listed(self, body: bytes) -> tuple[Sequence[Entry], Sequence[str], str]:
        root = documents.parse(self.uri, body.removeprefix(b"\xef\xbb\xbf"), "EnumerationResults")
        entries: list[Entry] = []
        prefixes: list[str] = []
        for blobs in documents.children(root, "Blobs"):
            entries += [_entry(item) for item in documents.children(blobs, "Blob")]
            prefixes += [_name(item) for item in documents.children(blobs, "BlobPrefix")]
        return entries, prefixes, documents.text(root, "NextMarker")


def _name(item: Element) -> str:
    """The name of a blob; what XML cannot have is percent-encoded, with an attribute to say so."""
    element = next(documents.children(item, "Name"), None)
    if element is None:
        return ""
    text = element.text or ""
    return unquote(text) if element.get("Encoded") == "true" else text


def _entry(item: Element) -> Entry:
    size = documents.text(item, "Properties", "Content-Length")
    return Entry(
        _name(item),
        int(size) if size.isdecimal() else 0,
        documents.text(item, "Properties", "Etag").strip('"'),
        times.from_http(documents.text(item, "Properties", "Last-Modified")),
    )


def _describing(
    headers: Mapping[str, str], metadata: Mapping[str, str], digest: tuple[str, str] | None
) -> dict[str, str]:
    told = dict(keys.with_digest(metadata, digest))
    described = {f"x-ms-blob-{name}": headers[name] for name in _PROPERTIES if name in headers}
    if "expires" in headers:
        described[f"{_METADATA}{_EXPIRES}"] = headers["expires"]
    for name, value in told.items():
        if not value.isascii():
            raise errors.InvalidArgument("Azure keeps metadata in ASCII only")
        described[f"{_METADATA}{_FOREIGN.sub(_escape, name)}"] = value
    return described


def _escape(matched: re.Match[str]) -> str:
    return f"_x{ord(matched[0]):04x}_"


def _unescape(matched: re.Match[str]) -> str:
    return chr(int(matched[1], 16))


def _described(key: str, answer: Answer, size: int) -> RemoteObject:
    headers = answer.headers
    told = {name[len(_METADATA) :]: value for name, value in headers.items() if name.startswith(_METADATA)}
    kept = {name: headers[name] for name in _PROPERTIES if name in headers}
    if _EXPIRES in told:
        kept["expires"] = told.pop(_EXPIRES)
    metadata, digest = keys.without_digest({_ESCAPED.sub(_unescape, name): value for name, value in told.items()})
    # The MD5 of a range's answer is the range's.
    md5 = headers.get("x-ms-blob-content-md5") or (headers.get("content-md5") if answer.status == 200 else None)
    return RemoteObject(
        key,
        size,
        headers.get("etag", "").strip('"'),
        times.from_http(headers.get("last-modified", "")),
        headers.get("x-ms-version-id", ""),
        kept,
        metadata,
        {"MD5": md5} if md5 else {},
        digest,
    )
