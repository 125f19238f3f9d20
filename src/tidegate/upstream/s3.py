"""A bucket of Amazon S3, or of anything that speaks its API.

Requests are our own, signed by ``amazon``. obstore was to make them; but its paths are not S3's keys. It takes ``dir/``
for ``dir``, knows no ``a//b``, cannot list a bucket that has one, and lists by whole segments only.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from tidegate import errors
from tidegate.model import EMPTY
from tidegate.properties.tree import ExtraAWS
from tidegate.upstream import amazon, documents, keys, listing, s3_objects, upload
from tidegate.upstream.abc import Entry, Page, Piece, RemoteObject
from tidegate.upstream.download import asked, download, size_of
from tidegate.upstream.faults import fault
from tidegate.upstream.upload import Part
from tidegate.upstream.wire import PATIENCE, Answer, Patience, Request, Wire, encode

logger = logging.getLogger(__name__)

# S3's own: a page of a listing, and the largest object that one request copies.
PAGE: Final = 1000
MAX_COPY: Final = 5 * 1024**3
COPY_PART: Final = 512 * 1024**2

# The largest part that a bucket may ask for: several of them are in memory.
MAX_PART: Final = 64 * 1024**2

_PROBE: Final = ".tidegate-probe-"

_REGION: Final = "x-amz-bucket-region"


class S3Bucket:
    """An ``Upstream``. ``extra`` and the environment say where it is and who we are."""

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
        self._cutter = upload.Cutter()
        self._endings = upload.Endings()
        self._has_conditions: bool | None = None if self._account.endpoint else True
        self._probing = asyncio.Lock()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._ask("GET", None, query={"list-type": "2", "max-keys": "1"})

    async def head(self, key: str) -> RemoteObject:
        answer = await self._ask("HEAD", key, headers={"x-amz-checksum-mode": "ENABLED"})
        return s3_objects.described(key, answer, size_of(self.uri, answer))

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        async def ask(start: int, stop: int | None, if_match: str | None) -> Answer:
            headers = {"x-amz-checksum-mode": "ENABLED", **asked(start, stop, if_match)}
            try:
                return await self._ask("GET", key, headers=headers, is_stream=True)
            except errors.PreconditionFailed:
                raise errors.RemoteChanged(Key=key) from None

        def describe(answer: Answer, size: int) -> RemoteObject:
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
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> RemoteObject:
        described = s3_objects.describing(headers, keys.with_digest(metadata, digest))
        condition = await self._condition(if_match, is_new=if_none_match)
        length = upload.part_size(size, self._part)
        async with aclosing(self._cutter.parts(body, size, length, hashes=not self._is_secure)) as parts:
            first = await anext(parts)
            if first.is_last:
                try:
                    answer = await self._send_part(key, first, headers=described | condition, repeats=not condition)
                finally:
                    self._cutter.done()
                total = len(first.data)
            else:
                answer, total = await self._put_parts(key, first, parts, described, condition)
        return s3_objects.written(key, answer, total, headers, metadata, digest)

    async def delete(self, key: str) -> None:
        try:
            await self._ask("DELETE", key)
        except errors.NoSuchKey:
            return

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
            answer = await self._copy_parts(key, was.size, origin, described)
        else:
            replaces = {"x-amz-metadata-directive": "REPLACE"}
            answer = await self._ask("PUT", key, headers=described | origin | replaces, is_long=True)
        return s3_objects.written(key, self._succeeded(key, answer), was.size, headers, metadata, digest)

    async def close(self) -> None:
        await self._endings.finish()
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

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _put_parts(
        self,
        key: str,
        first: Part,
        parts: AsyncGenerator[Part, None],
        described: dict[str, str],
        condition: dict[str, str],
    ) -> tuple[Answer, int]:
        """Sends a body in parts; gives them up if it comes to nothing. Returns the last answer and the size."""
        try:
            upload_id = await self._begin(key, described)
        except BaseException:
            self._cutter.done()
            raise

        async def send(part: Part) -> str:
            query = {"partNumber": str(part.number), "uploadId": upload_id}
            return s3_objects.etag_of(await self._send_part(key, part, query=query))

        async def give_up() -> None:
            await self._give_up(key, upload_id)

        etags, total = await upload.send_parts(self._cutter, first, parts, send, self._endings, give_up)
        try:
            return await self._complete(key, upload_id, etags, condition), total
        except BaseException as error:
            await self._endings.run(give_up(), error)
            raise

    async def _copy_parts(self, key: str, size: int, origin: dict[str, str], described: dict[str, str]) -> Answer:
        upload_id = await self._begin(key, described)
        length = upload.part_size(size, COPY_PART)
        try:
            etags = []
            for number, start in enumerate(range(0, size, length), 1):
                span = {"x-amz-copy-source-range": f"bytes={start}-{min(start + length, size) - 1}"}
                query = {"partNumber": str(number), "uploadId": upload_id}
                answer = await self._ask("PUT", key, query=query, headers=origin | span, is_long=True)
                etags.append(s3_objects.etag_of(self._succeeded(key, answer)))
            return await self._complete(key, upload_id, etags, {})
        except BaseException as error:
            await self._endings.run(self._give_up(key, upload_id), error)
            raise

    async def _begin(self, key: str, described: dict[str, str]) -> str:
        answer = await self._ask("POST", key, query={"uploads": ""}, headers=described)
        root = documents.parse(self.uri, answer.body)
        upload_id = documents.text(root, "UploadId")
        if not upload_id:
            raise errors.RemoteUnavailable(f"{self.uri}: the remote's answer has no upload id")
        return upload_id

    async def _complete(self, key: str, upload_id: str, etags: Sequence[str], condition: dict[str, str]) -> Answer:
        items = (
            f"<Part><PartNumber>{number}</PartNumber>{documents.element('ETag', etag)}</Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = documents.written("CompleteMultipartUpload", *items)
        query = {"uploadId": upload_id}
        try:
            answer = await self._ask(
                "POST", key, query=query, headers=condition, body=body, is_long=True, repeats=not condition
            )
            return self._succeeded(key, answer)
        except errors.NoSuchUpload:
            return await self._recall(key, etags)

    async def _recall(self, key: str, etags: Sequence[str]) -> Answer:
        """The answer to a completion that went lost: what is there, if it is what the parts make."""
        headers = {"etag": f'"{upload.joined(etags)}"'}
        if (await self.head(key)).etag != upload.joined(etags):
            raise errors.NoSuchUpload(f"{self.uri}: the upload is gone", Key=key)
        return Answer(200, headers)

    async def _give_up(self, key: str, upload_id: str) -> None:
        """Removes what the remote has of an upload."""
        try:
            await self._ask("DELETE", key, query={"uploadId": upload_id})
        except errors.NoSuchUpload:
            return
        except errors.Error as error:
            logger.warning("%s: parts of an upload are left at the remote: %s", self.uri, error)

    async def _send_part(
        self,
        key: str,
        part: Part,
        *,
        query: Mapping[str, str] = EMPTY,
        headers: Mapping[str, str] = EMPTY,
        repeats: bool = True,
    ) -> Answer:
        """A whole object, or a part of one, with its MD5 for the remote to check."""
        promise = {"content-md5": b64encode(part.md5).decode()}
        if part.sha256:
            promise[amazon.SHA256] = part.sha256
        return await self._ask("PUT", key, query=query, headers={**headers, **promise}, body=part.data, repeats=repeats)

    # --- conditions --------------------------------------------------------------------------------------------------

    async def _condition(self, if_match: str | None, *, is_new: bool) -> dict[str, str]:
        """The headers of a conditional write. Raises ``NotImplementedByServer`` where the remote ignores them."""
        if if_match is None and not is_new:
            return {}
        async with self._probing:
            if self._has_conditions is None:
                self._has_conditions = await self._probe()
        if not self._has_conditions:
            raise errors.NotImplementedByServer(f"{self.uri}: the remote has no conditional writes")
        return {"if-none-match": "*"} if is_new else {"if-match": f'"{if_match}"'}

    async def _probe(self) -> bool:
        """Whether the remote minds conditions. Who does not know them ignores them, so it is given one that fails.

        The object that it then makes, empty and with a name of its own, is removed at once.
        """
        key = _PROBE + secrets.token_hex(8)
        try:
            await self._ask("PUT", key, headers={"if-match": '"00000000000000000000000000000000"'}, repeats=False)
        except (errors.PreconditionFailed, errors.NoSuchKey):
            return True
        except errors.NotImplementedByServer:
            return False
        await self.delete(key)
        return False

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
        raise fault(self.uri, documents.refusal(answer.status, answer.body), key)

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
        if body and place.scheme == "http" and amazon.SHA256 not in headers:
            headers = {**headers, amazon.SHA256: hashlib.sha256(body).hexdigest()}
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

    def _succeeded(self, key: str, answer: Answer) -> Answer:
        """The answer, if it is no error after all: a long piece of work begins its answer before it knows."""
        root = documents.parse(self.uri, answer.body)
        if documents.local(root) == "Error":
            refusal = documents.refusal(500, answer.body)
            raise fault(self.uri, refusal, key)
        return answer
