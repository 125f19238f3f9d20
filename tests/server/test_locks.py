"""Who works on a data folder. The deaths of real processes are in ``test_processes``."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.server import listen, locks


def test_one_server_at_a_time(tmp_path: Path) -> None:
    """The second is told who is there; when the first has gone, the next one may come."""
    with locks.hold(tmp_path) as first:
        with pytest.raises(locks.InUseError, match=r"in use by another server$"), locks.hold(tmp_path):
            pass
        first.write(locks.Owner(123, ("http://a:1", "http://a:2")))
        with (
            pytest.raises(locks.InUseError, match=r"process 123 at http://a:1 and http://a:2$"),
            locks.hold(tmp_path),
        ):
            pass
    with locks.hold(tmp_path):
        pass


@pytest.mark.parametrize("note", [b"", b'{"pid": 5}', b"\xff rubbish"])
def test_what_a_killed_server_wrote_is_no_obstacle(tmp_path: Path, note: bytes) -> None:
    """The lock is the kernel's: what stands in its file only serves to tell who has it."""
    (tmp_path / locks.SERVER_LOCK).write_bytes(note)
    with locks.hold(tmp_path), pytest.raises(locks.InUseError, match="another server"), locks.hold(tmp_path):
        pass


def test_server_waits_for_the_workers_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as a worker is left, nobody takes the folder over; and a worker does not join while somebody does."""
    monkeypatch.setattr(locks, "WORKERS_GONE_SECONDS", 0.05)
    worker, another = locks.join(tmp_path), locks.join(tmp_path)
    os.close(another)
    with pytest.raises(locks.InUseError, match="workers of a server that was killed"), locks.hold(tmp_path):
        pass
    os.close(worker)
    with locks.hold(tmp_path):
        os.close(locks.join(tmp_path))


def test_nothing_is_left_open(tmp_path: Path) -> None:
    """Also a lock that was not got leaves no descriptor behind."""
    before = len(list(Path("/dev/fd").iterdir()))
    with locks.hold(tmp_path), pytest.raises(locks.InUseError), locks.hold(tmp_path):
        pass
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_free_port_is_known_after_listening() -> None:
    """Port 0 takes one that is free, and a second listener on it is refused."""
    with closing(listen.listen("127.0.0.1", 0)) as sock:
        port = listen.port_of(sock)
        with pytest.raises(listen.CannotListenError, match=f"127.0.0.1:{port}: Address already in use"):
            listen.listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["name.invalid", "a" * 300, "192.0.2.1"])
def test_address_that_is_not_ours_is_named(host: str) -> None:
    """What cannot be listened on is an error that says so."""
    with pytest.raises(listen.CannotListenError, match="cannot listen on"):
        listen.listen(host, 0)


def test_urls_have_brackets_around_ipv6() -> None:
    """An endpoint can be pasted as it is printed."""
    assert listen.url("http", "127.0.0.1", 80) == "http://127.0.0.1:80"
    assert listen.url("https", "::1", 80) == "https://[::1]:80"
