"""An HTTP origin as a bucket that can only be read."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.upstream.remotes import IMPATIENT, pieces, read, run
from tidegate import errors
from tidegate.names import BucketName
from tidegate.properties.tree import Extra, ExtraHTTP
from tidegate.upstream import Upstream, open_upstream


class Files(http.server.SimpleHTTPRequestHandler):
    """Python's own server of files: it has no ranges and no ETags."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass


class Pages(http.server.BaseHTTPRequestHandler):
    """A server with answers of its own making."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, str | None]]
    elsewhere: str

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.seen.append((self.command, self.path, self.headers["Authorization"]))
        match self.path:
            case "/data/moved":
                self._answer(302, {"Location": "there/it%20is"})
            case "/data/there/it%20is":
                self._answer(200, {"ETag": 'W/"weak"'}, b"found")
            case "/data/away":
                self._answer(307, {"Location": f"{self.elsewhere}/data/plain"})
            case "/data/circle":
                self._answer(301, {"Location": "circle"})
            case "/data/signed":
                self._answer(302, {"Location": "/data/plain?token=secret"})
            case "/data/damaged":
                self._answer(200, {"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, b"this")
            case "/data/hashed":
                digest = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
                self._answer(200, {"Repr-Digest": f"sha-512=:AA==:, sha-256=:{digest}:"}, b"this")
            case "/data/heads" if self.command == "HEAD":
                self._answer(405, {})
            case "/data/heads":
                self._answer(200, {"ETag": '"strong"', "Content-Type": "a/b"}, b"body")
            case "/data/secret":
                self._answer(401, {})
            case "/data/chunked":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(b"1\r\nx\r\n0\r\n\r\n")
            case "/data/" | "/data/plain":
                self._answer(200, {}, b"plain")
            case _:
                self._answer(404, {})

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def serving(handler: Any) -> Iterator[str]:
    """A server in a thread, by its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is on the web."""
    return tmp_path


@pytest.fixture
def files(folder: Path) -> Iterator[str]:
    """A folder on the web."""
    yield from serving(functools.partial(Files, directory=str(folder)))


@pytest.fixture
def pages() -> Iterator[str]:
    """Pages on the web."""
    Pages.seen = []
    Pages.elsewhere = "http://127.0.0.2:1"
    yield from serving(Pages)


def open_web(url: str) -> Upstream:
    """A bucket of the web."""
    extra = Extra(http=ExtraHTTP(original_url=url))
    return open_upstream(BucketName("web", "ht"), extra, {}, IMPATIENT)


def test_files_are_read(folder: Path, files: str) -> None:
    """Whole and in ranges, also from a server that knows no ranges."""
    data = bytes(range(256)) * 5000
    (folder / "a b").mkdir()
    (folder / "a b" / "ü%20?#.txt").write_bytes(data)
    (folder / "empty").write_bytes(b"")

    async def story() -> None:
        upstream = open_web(f"{files}/")
        await upstream.check()
        key = "a b/ü%20?#.txt"
        found = await upstream.head(key)
        assert (found.size, found.etag, found.headers["content-type"]) == (len(data), "", "text/plain")
        assert found.modified > 0
        assert await read(upstream, key) == data
        for start, stop in ((5, 10), (0, 1), (600_000, None), (0, len(data)), (1, len(data) + 5)):
            assert await read(upstream, key, start=start, stop=stop) == data[start:stop]
        with pytest.raises(errors.InvalidRange):
            await upstream.get(key, start=len(data))
        assert await read(upstream, "empty") == b""
        with pytest.raises(errors.NoSuchKey, match=r"ht://web/absent does not exist"):
            await upstream.head("absent")
        with pytest.raises(errors.NoSuchKey):
            await upstream.get("absent")
        await upstream.close()

    run(story)


def test_it_is_read_only_and_has_no_listing(files: str) -> None:
    """Writes are 405 and listings 501, with a sentence."""

    async def story() -> None:
        upstream = open_web(files)
        for work in (upstream.put("key", pieces(b"x")), upstream.copy("a", "b")):
            with pytest.raises(errors.MethodNotAllowed, match="only be read"):
                await work
        with pytest.raises(errors.MethodNotAllowed):
            await upstream.delete("key")
        with pytest.raises(errors.NotImplementedByServer, match="cannot be listed"):
            await upstream.list()
        await upstream.close()

    run(story)


def test_keys_that_servers_take_for_others(folder: Path, files: str) -> None:
    """What a web server would read as another path is refused, and nothing outside of the URL is reached."""
    (folder / "inside").mkdir()
    (folder / "secret").write_bytes(b"x")
    (folder / "inside" / "key").write_bytes(b"x")

    async def story() -> None:
        upstream = open_web(f"{files}/inside")
        for key in ("../secret", "a/../../secret", "./key", "a//b", "/key", "", ".."):
            with pytest.raises(errors.UnrepresentableKey):
                await upstream.get(key)
        with pytest.raises(errors.NoSuchKey):
            await upstream.get("%2e%2e/secret")
        assert await read(upstream, "key") == b"x"
        await upstream.close()

    run(story)


def test_redirects_stay_within_the_origin(pages: str) -> None:
    """Within, they are followed a few times; elsewhere, in circles, or with a query they are errors."""

    async def story() -> None:
        upstream = open_web(f"{pages}/data")
        assert await read(upstream, "moved") == b"found"
        assert (await upstream.head("moved")).etag == ""  # a weak one identifies no bytes
        for key, words in (("away", "another place"), ("signed", "another place"), ("circle", "circles")):
            for work in (upstream.get(key), upstream.head(key)):
                with pytest.raises(errors.RemoteUnavailable, match=words):
                    await work
        await upstream.close()

    run(story)


def test_a_name_and_password_in_the_url(pages: str) -> None:
    """They are sent as Basic authentication, and in no error."""
    url = pages.replace("http://", "http://me:p%40ss%3Aword@") + "/data"

    async def story() -> None:
        upstream = open_web(url)
        with pytest.raises(errors.RemoteDenied) as caught:
            await upstream.get("secret")
        assert "p@ss" not in repr(caught.value)
        assert "p%40ss" not in repr(caught.value)
        await upstream.close()

    run(story)
    assert Pages.seen == [("GET", "/data/secret", f"Basic {base64.b64encode(b'me:p@ss:word').decode()}")]


def test_checksums_and_odd_servers(pages: str) -> None:
    """A checksum in the head is held against the body; who knows no HEAD, or says no length, has an answer."""

    async def story() -> None:
        upstream = open_web(f"{pages}/data")
        for key in ("damaged", "hashed"):
            with pytest.raises(errors.RemoteDamaged):
                await read(upstream, key)
        found = await upstream.head("heads")
        assert (found.size, found.etag, found.headers["content-type"]) == (4, "strong", "a/b")
        with pytest.raises(errors.RemoteChanged):
            await upstream.get("heads", if_match="other")
        for work in (upstream.head("chunked"), upstream.get("chunked")):
            with pytest.raises(errors.RemoteUnavailable, match="how long"):
                await work
        await upstream.close()

    run(story)


@pytest.mark.parametrize(
    "url", ["", "ftp://h/", "/etc/passwd", "http://h/?token=secret", "http://h/#x", "http://:secret@/"]
)
def test_a_url_that_is_none(url: str) -> None:
    """It is refused, and not repeated."""
    with pytest.raises(errors.InvalidArgument) as caught:
        open_web(url)
    assert "secret" not in str(caught.value)
