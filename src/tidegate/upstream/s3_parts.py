"""Multipart uploads at an S3: objects that are too large for one request, written or copied."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Protocol

from tidegate import errors
from tidegate.model import EMPTY
from tidegate.upstream import documents, s3_objects, upload
from tidegate.upstream.faults import fault
from tidegate.upstream.s3_signing import SHA256
from tidegate.upstream.upload import Part
from tidegate.upstream.wire import Answer

logger = logging.getLogger(__name__)

COPY_PART: Final = 512 * 1024**2


class Ask(Protocol):
    """Sends a request for an object and returns its answer. Raises what the remote says."""

    async def __call__(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] = EMPTY,
        headers: Mapping[str, str] = EMPTY,
        body: bytes | bytearray = b"",
        repeats: bool = True,
        is_long: bool = False,
    ) -> Answer: ...


def succeeded(uri: str, key: str, answer: Answer) -> Answer:
    """The answer, if it is no error after all: a long piece of work begins its answer before it knows."""
    root = documents.parse(uri, answer.body)
    if documents.local(root) == "Error":
        raise fault(uri, documents.refusal(500, answer.body), key)
    return answer


class Parts:
    """The uploads to one bucket. ``cutter`` cuts bodies, ``endings`` are the clean-ups that are under way."""

    def __init__(self, uri: str, ask: Ask) -> None:
        self.cutter = upload.Cutter()
        self.endings = upload.Endings()
        self._uri = uri
        self._ask = ask

    async def put(
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
            self.cutter.done()
            raise

        async def send(part: Part) -> str:
            query = {"partNumber": str(part.number), "uploadId": upload_id}
            return s3_objects.etag_of(await self.send(key, part, query=query))

        async def give_up() -> None:
            await self._give_up(key, upload_id)

        etags, total = await upload.send_parts(self.cutter, first, parts, send, self.endings, give_up)
        try:
            return await self._complete(key, upload_id, etags, condition), total
        except BaseException as error:
            await self.endings.run(give_up(), error)
            raise

    async def copy(self, key: str, size: int, origin: dict[str, str], described: dict[str, str]) -> Answer:
        upload_id = await self._begin(key, described)
        length = upload.part_size(size, COPY_PART)
        try:
            etags = []
            for number, start in enumerate(range(0, size, length), 1):
                span = {"x-amz-copy-source-range": f"bytes={start}-{min(start + length, size) - 1}"}
                query = {"partNumber": str(number), "uploadId": upload_id}
                answer = await self._ask("PUT", key, query=query, headers=origin | span, is_long=True)
                etags.append(s3_objects.etag_of(succeeded(self._uri, key, answer)))
            return await self._complete(key, upload_id, etags, {})
        except BaseException as error:
            await self.endings.run(self._give_up(key, upload_id), error)
            raise

    async def _begin(self, key: str, described: dict[str, str]) -> str:
        answer = await self._ask("POST", key, query={"uploads": ""}, headers=described)
        root = documents.parse(self._uri, answer.body)
        upload_id = documents.text(root, "UploadId")
        if not upload_id:
            raise errors.RemoteUnavailable(f"{self._uri}: the remote's answer has no upload id")
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
            return succeeded(self._uri, key, answer)
        except errors.NoSuchUpload:
            return await self._recall(key, etags)

    async def _recall(self, key: str, etags: Sequence[str]) -> Answer:
        """The answer to a completion that went lost: what is there, if it is what the parts make."""
        headers = {"etag": f'"{upload.joined(etags)}"'}
        if s3_objects.etag_of(await self._ask("HEAD", key)) != upload.joined(etags):
            raise errors.NoSuchUpload(f"{self._uri}: the upload is gone", Key=key)
        return Answer(200, headers)

    async def _give_up(self, key: str, upload_id: str) -> None:
        """Removes what the remote has of an upload."""
        try:
            await self._ask("DELETE", key, query={"uploadId": upload_id})
        except errors.NoSuchUpload:
            return
        except errors.Error as error:
            logger.warning("%s: parts of an upload are left at the remote: %s", self._uri, error)

    async def send(
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
            promise[SHA256] = part.sha256
        return await self._ask("PUT", key, query=query, headers={**headers, **promise}, body=part.data, repeats=repeats)
