"""A bucket of somebody else's, 20 ms away at 100 MB/s, through this server and read directly: cold, warm, prefetch."""

from __future__ import annotations

import asyncio
import http.client
import random
import secrets
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks import client, load, native, process
from benchmarks.arena import Arena, fill, prepare
from benchmarks.load import Load
from benchmarks.origin import BLOCK, READS
from benchmarks.presign import Signer
from benchmarks.s3 import TIMEOUT, AnswerError, Api
from benchmarks.servers import ADMINISTRATOR, Origin, Server, Tidegate
from benchmarks.values import KIB, MIB, Outcome, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NATIVE = "native"
NATIVE_LARGE = f"/{NATIVE}/large"
TARGETS = 30_000  # of a reading load, after which it starts again
# What is read for its first byte: so many objects of each size. A chunk of the cache has 8 MiB.
FIRST_BYTES = {"4 KiB": (4 * KIB, 40), "1 MiB": (MIB, 40), "16 MiB": (16 * MIB, 8)}
AT_ONCE, AT_ONCE_KEYS, AT_ONCE_SIZE = 1000, 10, MIB
# What a prefetch has under way at once (``jobs.kinds.apart.AT_ONCE``); so have the direct reads beside it.
PREFETCHES = 32
LARGE_PART = 4  # of ``Options.large``: what 100 MB/s bring within seconds
TIMES = 3  # that each large object is read in a round
_CHECK = 256 * KIB
_BUFFER = bytearray(MIB)


class _Remote:
    """A remote bucket, fresh, that is known to a server, and how both are asked."""

    def __init__(self, server: Server, origin: Server) -> None:
        self.server = server
        self.origin = origin
        self.bucket = f"remote-{secrets.token_hex(4)}"
        self.signer = Signer(Tidegate.key_of(server.data, ADMINISTRATOR, "--admin"), urlsplit(server.endpoint).netloc)
        self.token = native.log_in(server, ADMINISTRATOR)
        value = {"extra": {"aws": {"endpoint": origin.endpoint}}}
        path = f"/v1/buckets/{self.bucket}?provider=aws&dont_head_remote_bck=true"
        native.call(server, "POST", path, {"action": "create-bck", "value": value}, self.token).close()

    def keys(self, size: int, count: int) -> list[str]:
        """Keys of so many objects that nobody has read yet."""
        tag = secrets.token_hex(4)
        return [f"{size}-{tag}-{number:05d}" for number in range(count)]

    def target(self, server: Server, key: str) -> str:
        """The request target of an object, here or there."""
        path = f"/{self.bucket}/{key}"
        return path if server is self.origin else self.signer.target("GET", path)

    def prefetch(self, selected: Mapping[str, object], count: int) -> None:
        """Has objects cached by a job, so many."""
        message = {"action": "prefetch-listrange", "value": selected}
        path = f"/v1/buckets/{self.bucket}?provider=aws"
        with native.call(self.server, "POST", path, message, self.token) as answer:
            job = answer.read().decode()
        done = native.finish(self.server, job, self.token)
        if done != count:
            raise AnswerError(f"{done} of {count} objects were prefetched")

    def reads(self) -> int:
        """GETs that the remote was sent so far."""
        with Api(self.origin) as api:
            return int(api.call("GET", READS).body)


def _first_bytes(server: Server, targets: Sequence[str], size: int) -> Sample:
    """Reads one object after the other. The latencies are those of their first bytes."""
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=TIMEOUT)
    latencies = []
    process.reset_peak_rss(server.pid)
    before = process.cpu_seconds(server.pid)
    for target in targets:
        started = time.perf_counter()
        connection.request("GET", target)
        answer = connection.getresponse()
        found = len(answer.read(1))
        latencies.append(time.perf_counter() - started)
        while count := answer.readinto(_BUFFER):
            found += count
        if answer.status != http.client.OK or found != size:
            raise AnswerError(f"{target} on {server.name}: {answer.status}, {found} of {size} bytes")
    connection.close()
    return Sample(
        requests=len(latencies),
        seconds=sum(latencies),
        cpu=process.cpu_seconds(server.pid) - before,
        rss=process.peak_rss(server.pid),
        p50=median(latencies),
        p99=max(latencies),
    )


def _get(server: Server, target: str, size: int) -> None:
    with Api(server) as api:
        answer = api.call("GET", target, drop=True)
    if answer.size != size:
        raise AnswerError(f"{target} ended after {answer.size} of {size} bytes")


async def _read_at_once(server: Server, targets: Sequence[str], size: int) -> None:
    """A connection for each target; the requests are sent when all are open. Compares what comes with what should."""
    address = urlsplit(server.endpoint)
    streams = [await asyncio.open_connection(address.hostname, address.port) for _ in targets]
    expected = memoryview(BLOCK)[:MIB]

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise AnswerError((head + await reader.read(KIB)).decode(errors="replace"))
        for start in range(0, size, _CHECK):
            piece = await reader.readexactly(min(_CHECK, size - start))
            if piece != expected[start % MIB : start % MIB + len(piece)]:
                raise AnswerError(f"{server.name} sent other bytes than the remote has")
        writer.close()

    for (_, writer), target in zip(streams, targets, strict=True):
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    await asyncio.gather(*(read(*stream) for stream in streams))


def _at_once(arena: Arena, remote: _Remote) -> None:
    """What the remote was asked is its own sample: as many requests as it got."""
    keys = remote.keys(AT_ONCE_SIZE, AT_ONCE_KEYS)
    targets = [remote.target(remote.server, keys[number % len(keys)]) for number in range(AT_ONCE)]
    before = remote.reads()
    sample = load.clock(remote.server, lambda: uvloop.run(_read_at_once(remote.server, targets, AT_ONCE_SIZE)))
    reads = remote.reads() - before
    arena.notebook.add("cold at once", remote.server, msgspec.structs.replace(sample, requests=AT_ONCE))
    arena.notebook.add("cold at once", remote.origin, Sample(requests=reads, seconds=sample.seconds, cpu=0.0))


def _read_all(server: Server, targets: Sequence[str]) -> Outcome:
    outcome = client.drive(server.endpoint, "GET", iter(targets), connections=PREFETCHES)
    if outcome.errors or outcome.requests != len(targets):
        raise AnswerError(f"{outcome.errors} of {outcome.requests} GETs failed: {outcome.problem}")
    return outcome


def _prefetch(arena: Arena, remote: _Remote) -> list[str]:
    """Many small objects by a job, and directly with as many requests at once. Returns their keys."""
    keys = remote.keys(arena.options.small, arena.options.prefetch)
    template = f"{keys[0].rpartition('-')[0]}-{{00000..{len(keys) - 1:05d}}}"
    sample = load.clock(remote.server, partial(remote.prefetch, {"template": template}, len(keys)))
    arena.notebook.add("prefetch", remote.server, msgspec.structs.replace(sample, requests=len(keys), p50=0, p99=0))
    targets = [remote.target(remote.origin, key) for key in keys]
    sample = load.clock(remote.origin, partial(_read_all, remote.origin, targets))
    arena.notebook.add("prefetch", remote.origin, msgspec.structs.replace(sample, requests=len(keys), p50=0, p99=0))
    return keys


def _cold(arena: Arena, remote: _Remote, size: int) -> None:
    both = (remote.origin, remote.server)
    for name, (each, count) in FIRST_BYTES.items():
        for server in both:
            targets = [remote.target(server, key) for key in remote.keys(each, count)]
            arena.notebook.add(f"first byte of {name}", server, _first_bytes(server, targets, each))
    for server in both:
        target = remote.target(server, remote.keys(size, 1)[0])
        arena.notebook.add("GET cold", server, load.clock(server, partial(_get, server, target, size), moved=size))


def _warm(arena: Arena, remote: _Remote, keys: Sequence[str], size: int) -> None:
    """Reads of what is cached, and of as much that is the server's own; by the same user, in turns."""
    options, server, order = arena.options, remote.server, random.Random(len(keys))
    chosen = [order.randrange(len(keys)) for _ in range(TARGETS)]
    small = {
        "GET native": [remote.signer.target("GET", f"/{NATIVE}/{number:05d}") for number in chosen],
        "GET warm": [remote.target(server, keys[number]) for number in chosen],
    }
    key = remote.keys(size, 1)[0]
    remote.prefetch({"objnames": [key]}, 1)
    large = {"GET large native": NATIVE_LARGE, "GET large warm": f"/{remote.bucket}/{key}"}
    for number, _ in arena.rounds():
        for measure in sorted(small, reverse=bool(number % 2)):
            load_of = Load("GET", small[measure], options.connections)
            arena.notebook.add(measure, server, load.run(server, load_of, options.seconds))
        for _ in range(TIMES):
            for measure in sorted(large, reverse=bool(number % 2)):
                target = remote.signer.target("GET", large[measure])
                arena.notebook.add(measure, server, load.clock(server, partial(_get, server, target, size), moved=size))


def _prepare(server: Server, size: int) -> None:
    with Api(server) as api:
        api.put(NATIVE_LARGE, BLOCK[:MIB], size // MIB)


def run(arena: Arena) -> None:
    """On a server of its own, whose memory nothing else has grown, for each that has other people's buckets."""
    options = arena.options
    size = options.large // LARGE_PART
    for each in arena.servers:
        if each.name != Tidegate.name:
            continue
        data = each.data.with_name(f"{each.data.name}-remote")
        with (
            Server(Tidegate(), data, each.workers) as server,
            Server(Origin(), data.with_name(Origin.name), each.workers) as origin,
        ):
            remote = _Remote(server, origin)
            for reader in (server, origin):  # opens the way there
                _get(reader, remote.target(reader, remote.keys(options.small, 1)[0]), options.small)
            *_, keys = [_prefetch(arena, remote) for _ in arena.rounds()]
            fill(server, NATIVE, (f"{number:05d}" for number in range(len(keys))), BLOCK[: options.small])
            prepare(server, f"{NATIVE}-large", partial(_prepare, server, size))
            for length in (size, *(length for length, _ in FIRST_BYTES.values())):  # has the remote compute its ETags
                _get(origin, remote.target(origin, remote.keys(length, 1)[0]), length)
            for _ in arena.rounds():
                _cold(arena, remote, size)
            _warm(arena, remote, keys, size)
            for _ in arena.rounds():  # last: an allocator keeps some of what a thousand connections have needed
                _at_once(arena, remote)
