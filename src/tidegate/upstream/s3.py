"""A bucket of Amazon S3, or of anything that speaks its API.

Requests are our own, signed by ``amazon``. obstore was to make them; but its paths are not S3's keys. It takes ``dir/``
for ``dir``, knows no ``a//b``, cannot list a bucket that has one, and lists by whole segments only.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Final

from tidegate import errors
from tidegate.model import EMPTY
from tidegate.passage import Passage
from tidegate.properties.tree import ExtraAWS
from tidegate.upstream import amazon, documents, keys, listing, s3_objects, s3_tags, upload
from tidegate.upstream.abc import Entry, Page, Piece, RemoteObject, Removed
from tidegate.upstream.download import asked, download, size_of
from tidegate.upstream.faults import fault
from tidegate.upstream.s3_conditions import Conditions
from tidegate.upstream.s3_parts import Parts, succeeded
from tidegate.upstream.s3_signed import Names, SignedBucket
from tidegate.upstream.s3_signing import SHA256
from tidegate.upstream.wire import PATIENCE, Answer, Patience, Request, Wire, encode

# S3's own: a page of a listing, and the largest object that one request copies.
PAGE: Final = 1000
MAX_COPY: Final = 5 * 1024**3

# The largest part that a bucket may ask for: several of them are in memory.
MAX_PART: Final = 64 * 1024**2

_REGION: Final = "x-amz-bucket-region"
_IS_REGION: Final = re.compile(r"[a-z0-9-]+")
_ONE_KEY: Final = MappingProxyType({"list-type": "2", "max-keys": "1"})


class S3Bucket:
    """A ``Versioned`` upstream. ``extra`` and the environment say where it is and who we are."""

    def __init__(
        self, uri: str, bucket: str, extra: ExtraAWS, environment: Mapping[str, str], patience: Patience = PATIENCE
    ) -> None:
        self.uri = uri
        self._bucket = bucket
        self._account = amazon.account(extra, environment)
        self._region = self._account.region
        if not 0 <= extra.multipart_size <= MAX_PART:
            raise errors.NotImplementedByServer(
                f"{uri}: extra.aws.multipart_size is not implemented below 0 and above {MAX_PART}: parts are in memory"
            )
        self._part = extra.multipart_size or upload.PART
        self._page = extra.max_pagesize or PAGE
        self._wire = Wire(uri, environment, patience)
        self._signer = amazon.Signer(uri, self._account, environment)
        self._parts = Parts(uri, self._ask)
        self._names = Names()
        self._knows_region = False  # from the remote
        self._conditions = Conditions(uri, self._ask, is_known=not self._account.endpoint)

    async def as_signed(self, passage: Passage, accepted: Callable[[], None]) -> SignedBucket:
        """The bucket as it answers to a request that somebody else has signed; ``accepted`` is told if it does.

        Raises ``AccessDenied`` where that is signed for another host or region than the bucket's.
        """
        if not self._account.endpoint and passage.region not in {"", self._region}:
            if not self._knows_region and _IS_REGION.fullmatch(passage.region):
                answer = await self._send(
                    "GET", None, _ONE_KEY, EMPTY, b"", repeats=True, is_long=False, is_stream=False
                )  # whether we may list it or not, it tells the region
                await self._moves("GET", answer)
                self._knows_region = True
            if passage.region != self._region:
                raise errors.AccessDenied(
                    f"{self.uri}: the request is signed for another region than the bucket's, {self._region} "
                    "(extra.aws.cloud_region)"
                )
        place, _ = amazon.place(self._account, self._region, self._bucket)
        forms = amazon.forms(self._account, self._region, self._bucket)
        return SignedBucket(self._wire, place, self._names, forms, passage, accepted)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._ask("GET", None, query=_ONE_KEY)

    async def head(self, key: str) -> RemoteObject:
        answer = await self._ask("HEAD", key, headers={"x-amz-checksum-mode": "ENABLED"})
        return s3_objects.described(key, answer, size_of(self.uri, answer))

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        return await self._get(key, "", start, stop, if_match)

    async def head_version(self, key: str, version_id: str) -> RemoteObject:
        query = {"versionId": version_id}
        answer = await self._ask("HEAD", key, query=query, headers={"x-amz-checksum-mode": "ENABLED"})
        return s3_objects.described_version(self.uri, key, version_id, answer, size_of(self.uri, answer))

    async def get_version(
        self, key: str, version_id: str, *, start: int = 0, stop: int | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        return await self._get(key, version_id, start, stop, None)

    async def _get(
        self, key: str, version_id: str, start: int, stop: int | None, if_match: str | None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        query = {"versionId": version_id} if version_id else {}

        async def ask(start: int, stop: int | None, if_match: str | None) -> Answer:
            headers = {"x-amz-checksum-mode": "ENABLED", **asked(start, stop, if_match)}
            return await self._ask("GET", key, query=query, headers=headers, is_stream=True)

        def describe(answer: Answer, size: int) -> RemoteObject:
            if version_id:
                return s3_objects.described_version(self.uri, key, version_id, answer, size)
            return s3_objects.described(key, answer, size)

        return await download(
            self.uri, key, ask, describe, s3_objects.promises, start=start, stop=stop, if_match=if_match
        )

    async def list(
        self, *, prefix: str = "", delimiter: str = "", after: str = "", token: str = "", limit: int = PAGE
    ) -> Page:
        query = {
            "list-type": "2",
            "encoding-type": "url",
            "max-keys": str(min(limit, self._page)),
            "prefix": prefix,
            "delimiter": delimiter,
            "start-after": listing.begin(after, prefix, delimiter) if not token else "",
        }

        async def fetch(token: str) -> tuple[Sequence[Entry], Sequence[str], str]:
            full = {name: value for name, value in query.items() if value} | (
                {"continuation-token": token} if token else {}
            )
            answer = await self._ask("GET", None, query=full)
            return await asyncio.to_thread(s3_objects.listed, self.uri, answer.body)

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
        described = s3_objects.describing(headers, keys.with_digest(metadata, digest)) | s3_tags.header(tags)
        if tags:
            await self._conditions.check_tags()
        condition = await self._conditions.of_write(if_match, is_new=if_none_match)
        length = upload.part_size(size, self._part)
        async with aclosing(self._parts.cutter.parts(body, size, length, hashes=not self._is_secure)) as parts:
            first = await anext(parts)
            if first.is_last:
                try:
                    answer = await self._parts.send(key, first, headers=described | condition, repeats=not condition)
                    md5 = first.md5 or await asyncio.to_thread(_md5, first.data)
                    s3_objects.check_stored(self.uri, key, answer, md5.hex())
                finally:
                    self._parts.cutter.done()
                total = len(first.data)
            else:
                answer, total = await self._parts.put(key, first, parts, described, condition)
        return s3_objects.written(key, answer, total, headers, metadata, digest)

    async def delete(self, key: str, *, if_match: str | None = None) -> Removed:
        condition = await self._conditions.of_delete(if_match)
        try:
            return s3_objects.removed(await self._ask("DELETE", key, headers=condition, repeats=not condition))
        except errors.NoSuchKey:
            if condition:
                raise
            return Removed()

    async def delete_version(self, key: str, version_id: str) -> Removed:
        try:
            await self.head_version(key, version_id)  # who does not know versions would delete the object itself
        except errors.NoSuchVersion:
            return Removed(version_id)
        except errors.NamedDeleteMarker:
            pass
        return s3_objects.removed(await self._ask("DELETE", key, query={"versionId": version_id}))

    async def tags(self, key: str, version_id: str = "") -> tuple[Mapping[str, str], str]:
        await self._conditions.check_tags()
        answer = await self._ask("GET", key, query=_tagging(version_id))
        return s3_tags.parsed(self.uri, answer.body), s3_objects.version_of(answer)

    async def set_tags(self, key: str, tags: Mapping[str, str], version_id: str = "") -> str:
        await self._conditions.check_tags()
        query = _tagging(version_id)
        if not tags:
            return s3_objects.version_of(await self._ask("DELETE", key, query=query))
        body = s3_tags.written(tags)
        headers = {"content-type": "application/xml", "content-md5": s3_tags.md5(body)}
        return s3_objects.version_of(await self._ask("PUT", key, query=query, headers=headers, body=body))

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
        keys.check(self.uri, source)
        was = await self.head(source)
        if if_match is not None and was.etag != if_match:
            raise errors.PreconditionFailed(f"{self.uri}: the source of the copy is another object", Key=source)
        if headers is None or metadata is None:
            headers, metadata, digest = was.headers, was.metadata, was.digest
        described = s3_objects.describing(headers, keys.with_digest(metadata, digest))
        origin = {
            "x-amz-copy-source": f"/{encode(self._bucket)}/{encode(source, '/')}",
            "x-amz-copy-source-if-match": f'"{was.etag}"',
        }
        if was.size > MAX_COPY:
            answer = await self._parts.copy(key, was.size, origin, described)
        else:
            replaces = {"x-amz-metadata-directive": "REPLACE"}
            answer = await self._ask("PUT", key, headers=described | origin | replaces, is_long=True)
        return s3_objects.written(key, succeeded(self.uri, key, answer), was.size, headers, metadata, digest)

    async def close(self) -> None:
        await self._parts.endings.finish()
        await self._wire.close()

    async def buckets(self) -> tuple[str, ...]:
        """The names of all buckets that the credentials may see, in order. Opened with a bucket of no name."""
        found: set[str] = set()
        token = ""
        while True:
            query = {"continuation-token": token} if token else {}
            root = documents.parse(self.uri, (await self._ask("GET", None, query=query)).body, "ListAllMyBucketsResult")
            for group in documents.children(root, "Buckets"):
                found |= {documents.text(bucket, "Name") for bucket in documents.children(group, "Bucket")}
            token = documents.text(root, "ContinuationToken")
            if not token:
                return tuple(sorted(found))

    # --- requests ----------------------------------------------------------------------------------------------------

    @property
    def _is_secure(self) -> bool:
        """Whether what we send cannot be changed on its way; otherwise bodies are part of the signature."""
        return amazon.place(self._account, self._region, self._bucket)[0].scheme == "https"

    async def _ask(
        self,
        method: str,
        key: str | None,
        *,
        query: Mapping[str, str] = EMPTY,
        headers: Mapping[str, str] = EMPTY,
        body: bytes | bytearray = b"",
        repeats: bool = True,
        is_long: bool = False,
        is_stream: bool = False,
    ) -> Answer:
        """The answer to a request for an object, or for the bucket; its body as a stream if that was asked for.

        The bucket's region is learnt from the remote where it is another than ours: the request goes there then.
        """
        if key is not None:
            keys.check(self.uri, key)
        answer = await self._send(
            method, key, query, headers, body, repeats=repeats, is_long=is_long, is_stream=is_stream
        )
        if answer.status in {301, 307, 400} and await self._moves(method, answer):
            answer = await self._send(
                method, key, query, headers, body, repeats=repeats, is_long=is_long, is_stream=is_stream
            )
        if answer.status < 300:
            return answer
        refused = fault(self.uri, documents.refusal(answer.status, answer.body), key)
        raise refused if key is None else s3_objects.of_version(refused, key, query.get("versionId", ""), answer)

    async def _send(
        self,
        method: str,
        key: str | None,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | bytearray,
        *,
        repeats: bool,
        is_long: bool,
        is_stream: bool,
    ) -> Answer:
        region = self._region
        place, root = amazon.place(self._account, region, self._bucket)
        path = f"{root}/{encode(key, '/')}" if key is not None else root or "/"
        if body and place.scheme == "http" and SHA256 not in headers:
            headers = {**headers, SHA256: hashlib.sha256(body).hexdigest()}
        request = Request(
            method,
            place,
            path,
            tuple(sorted(query.items())),
            headers,
            body,
            repeats=repeats,
            is_long=is_long,
            is_stream=is_stream,
        )
        return await self._wire.send(request, lambda request: self._signer.sign(request, region))

    async def _moves(self, method: str, answer: Answer) -> bool:
        """Whether the answer says that the bucket is in another region, which is remembered."""
        region = answer.headers.get(_REGION, "")
        if method == "HEAD" and not region:
            was = self._region
            await self.check()  # whose answer has words
            return self._region != was
        if not region and answer.body:
            try:
                region = documents.text(documents.parse(self.uri, answer.body, "Error"), "Region")
            except errors.RemoteUnavailable:
                region = ""
        if not region or region == self._region or not region.replace("-", "").isalnum():
            return False
        self._region = region
        return True


def _tagging(version_id: str) -> dict[str, str]:
    """The query that asks for the tags of an object, or of a version of it."""
    return {"tagging": ""} | ({"versionId": version_id} if version_id else {})


def _md5(data: bytearray) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
