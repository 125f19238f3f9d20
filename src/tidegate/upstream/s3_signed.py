"""A bucket of S3 as it answers to one request, which somebody else has signed.

The request goes to the configured place of its bucket and nowhere else: neither the Host that it came with, nor the
region of its signature, nor an answer of the remote's can send it elsewhere. They only choose by which of the place's
names (``amazon.forms``) it is called, as that name is signed. Nothing is signed by us.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from tidegate import errors
from tidegate.passage import Passage
from tidegate.upstream import documents, keys, s3_objects
from tidegate.upstream.abc import RemoteObject
from tidegate.upstream.amazon import Form
from tidegate.upstream.download import Ask, asked, download, follow, size_of
from tidegate.upstream.faults import signed_elsewhere
from tidegate.upstream.feed import Feed
from tidegate.upstream.wire import Answer, Origin, Request, Wire, encode

_MISMATCH: Final = "SignatureDoesNotMatch"
_AMAZONS: Final = (".amazonaws.com", ".amazonaws.com.cn")


class Names:
    """The names by which a bucket's place can be called. Remembers which of them clients sign for."""

    def __init__(self) -> None:
        self._last: Form | None = None

    def of(self, uri: str, passage: Passage, forms: tuple[Form, ...]) -> tuple[Form, ...]:
        """Those that a request may be signed for. Raises ``AccessDenied`` where it is for another host."""
        host = passage.host.lower()
        known = tuple(form for form in forms if passage.style in {None, form.style})
        if not known:
            raise errors.AccessDenied(f"{uri}: the bucket's endpoint does not have it in the host's name")
        if named := tuple(form for form in known if form.host.lower() == host):
            return named
        if host.partition(":")[0].endswith(_AMAZONS):
            raise errors.AccessDenied(f"{uri}: the request is for another host than the bucket's")
        return tuple(sorted(known, key=lambda form: form != self._last))

    def keep(self, form: Form) -> None:
        """The remote has taken a signature for this one."""
        self._last = form


class SignedBucket:
    """Implements ``Readable``, as far as the one signed request is for it. ``accepted`` is told when the remote has
    taken the signature for good.

    Everything raises ``RemoteDenied`` where it has not, and as ``Upstream``.
    """

    def __init__(
        self,
        wire: Wire,
        place: Origin,
        names: Names,
        forms: tuple[Form, ...],
        passage: Passage,
        accepted: Callable[[], None],
    ) -> None:
        self.uri = wire.uri
        self._wire = wire
        self._place = place
        self._names = names
        self._forms = names.of(wire.uri, passage, forms)
        self._passage = passage
        self._accepted = accepted

    # --- reading -----------------------------------------------------------------------------------------------------

    async def head(self, key: str) -> RemoteObject:
        """What the remote says of the object, by a request of either method. Raises ``NotModified`` too."""
        answer = await self._read(key, {})
        if answer.stream is not None:
            await answer.stream.close()
        return s3_objects.described(key, answer, size_of(self.uri, answer))

    async def has(self, key: str, etag: str) -> bool:
        """Whether the remote accepts the request, and has the object with this ETag."""
        tag = f'"{etag}"'
        condition = {"if-none-match": tag} if self._passage.may_add("if-none-match", tag) else {}
        try:
            answer = await self._read(key, condition)
        except errors.NotModified:
            return True
        if answer.stream is not None:
            await answer.stream.close()
        return answer.headers.get("etag", "").strip('"') == etag

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        return await download(
            self.uri, key, self._asking(key), self._describing(key), s3_objects.promises, start=start, stop=stop,
            if_match=if_match,
        )  # fmt: skip

    async def get_exact(self, key: str) -> tuple[RemoteObject, int, AsyncGenerator[bytes, None]]:
        """What the request asks for, as it stands: the object, and bytes of it from a place on.

        Raises ``NotModified``, ``PreconditionFailed``, ``InvalidRange``.
        """
        answer = await self._read(key, {})
        return await follow(self.uri, answer, self._asking(key), self._describing(key), s3_objects.promises)

    def _asking(self, key: str) -> Ask:
        async def ask(start: int, stop: int | None, if_match: str | None) -> Answer:
            headers = asked(start, stop, if_match)
            if not all(self._passage.may_add(name, value) for name, value in headers.items()):
                raise errors.RemoteUnavailable(f"{self.uri}: the request is signed for another range of the object")
            try:
                return await self._read(key, headers)
            except errors.PreconditionFailed:
                raise errors.RemoteChanged(Key=key) from None

        return ask

    def _describing(self, key: str) -> Callable[[Answer, int], RemoteObject]:
        return lambda answer, size: s3_objects.described(key, answer, size)

    async def _read(self, key: str, more: Mapping[str, str]) -> Answer:
        """An answer that is no refusal, with a stream unless the request is a HEAD."""
        answer = await self._send(key, more, is_stream=self._passage.method != "HEAD")
        if answer.status < 300 or answer.status == 304:
            self._accepted()
        if answer.status < 300:
            return answer
        if answer.status == 304:
            raise errors.NotModified(etag=answer.headers.get("etag", "").strip('"'))
        error = self._refusal(key, answer)
        if isinstance(error, errors.InvalidRange):
            size = answer.headers.get("content-range", "").rpartition("/")[2]
            error.fields |= {"ActualObjectSize": size, "RangeRequested": self._passage.headers.get("range", "")}
        raise error

    # --- writing -----------------------------------------------------------------------------------------------------

    async def put(
        self, key: str, feed: Feed, size: int, headers: Mapping[str, str], metadata: Mapping[str, str], md5: str
    ) -> RemoteObject:
        """Writes an object of so many bytes, by a PUT. ``feed`` has its body as it came, which may be framed.

        ``headers`` and ``metadata`` are what the request says of the object. ``md5`` is the body's Content-MD5, if that
        is known: it is sent where the signature allows. The request is sent once: what is refused was not done.
        """
        more = {"content-md5": md5} if md5 and self._passage.may_add("content-md5", md5) else {}
        answer = await self._send(key, more, feed=feed)
        if answer.status >= 300:
            raise self._refusal(key, answer)
        self._accepted()
        mine, digest = keys.without_digest(metadata)
        return s3_objects.written(key, answer, size, headers, mine, digest)

    # --- requests ----------------------------------------------------------------------------------------------------

    async def _send(
        self, key: str, more: Mapping[str, str], *, feed: Feed | None = None, is_stream: bool = False
    ) -> Answer:
        """The remote's answer. Which of its names was signed can only be found out by trying."""
        keys.check(self.uri, key)
        passage = self._passage
        for form in self._forms:
            request = Request(
                passage.method,
                self._place,
                f"{form.root}/{encode(key, '/')}",
                headers={**passage.headers, **more, "host": form.host},
                repeats=feed is None,
                is_long=feed is not None,
                is_stream=is_stream,
                raw_query=passage.query,
                feed=feed,
            )
            answer = await self._wire.send(request)
            if not _is_mismatch(passage.method, answer):
                self._names.keep(form)
                return answer
            if form is self._forms[-1]:
                return answer
        raise AssertionError("a place has a name")

    def _refusal(self, key: str, answer: Answer) -> errors.Error:
        return signed_elsewhere(self.uri, documents.refusal(answer.status, answer.body), key)


def _is_mismatch(method: str, answer: Answer) -> bool:
    """Whether the remote has found the signature to be of another request. To a HEAD it gives no reason."""
    if answer.status != 403:
        return False
    return method == "HEAD" or documents.refusal(answer.status, answer.body).code == _MISMATCH
