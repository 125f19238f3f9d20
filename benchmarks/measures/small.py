"""Small objects: GET, HEAD, PUT of new keys, PUT over old ones and DELETE of 4 KiB."""

from __future__ import annotations

import os
import random
import secrets
from typing import TYPE_CHECKING

from benchmarks import load
from benchmarks.arena import Arena, fill
from benchmarks.load import Load

if TYPE_CHECKING:
    from benchmarks.presign import Signer

BUCKET = "small"
RATE = 25_000  # new keys a second that are made ready for a round; a server that is faster ends its round early
READS = 50_000  # targets of a reading load, after which it starts again


def key(number: int) -> str:
    """The key of an object."""
    return f"object-{number:06d}"


def _reads(signer: Signer, method: str, objects: int) -> list[str]:
    order = random.Random(objects)
    return [signer.target(method, f"/{BUCKET}/{key(order.randrange(objects))}") for _ in range(READS)]


def run(arena: Arena) -> None:
    """Writes new objects, reads and overwrites the old ones, and deletes the new ones again, in every round."""
    options = arena.options
    body = os.urandom(options.small)
    reads: dict[tuple[str, str], list[str]] = {}
    for server in arena.servers:
        fill(server, BUCKET, map(key, range(options.objects)), body)
        signer = server.signer()
        for method in ("GET", "HEAD", "PUT"):
            reads[server.name, method] = _reads(signer, method, options.objects)
    for _, servers in arena.rounds():
        new = f"new-{secrets.token_hex(4)}"
        written: dict[str, int] = {}
        for server in servers:
            signer = server.signer()
            paths = [f"/{BUCKET}/{new}/{number:06d}" for number in range(int(RATE * options.seconds))]
            fresh = Load("PUT", [signer.target("PUT", path) for path in paths], options.connections, body, once=True)
            sample = load.run(server, fresh, options.seconds)
            arena.notebook.add("PUT new", server, sample)
            written[server.name] = max(1, min(sample.requests, len(paths)) - options.connections)
        for method, measure in (("GET", "GET"), ("HEAD", "HEAD"), ("PUT", "PUT over")):
            for server in servers:
                content = body if method == "PUT" else b""
                again = Load(method, reads[server.name, method], options.connections, content)
                arena.notebook.add(measure, server, load.run(server, again, options.seconds))
        for server in servers:
            signer = server.signer()
            paths = [f"/{BUCKET}/{new}/{number:06d}" for number in range(written[server.name])]
            gone = Load("DELETE", [signer.target("DELETE", path) for path in paths], options.connections, once=True)
            arena.notebook.add("DELETE", server, load.run(server, gone, options.seconds))
