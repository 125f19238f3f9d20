"""What a request costs as a bucket grows: GET, PUT of new keys, a LIST page of 1,000 keys, one of 1,000 prefixes."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING

from benchmarks import load
from benchmarks.arena import Arena, fill, say
from benchmarks.load import Load
from benchmarks.s3 import AnswerError, Api

if TYPE_CHECKING:
    from benchmarks.servers import Server

PREFIXES = 1_000
PAGE = 1_000
RATE = 20_000  # new keys a second that are made ready for a round
READS = 30_000
PAGES = 2_000
LIST_CONNECTIONS = 4
_BODY = b"a few bytes"


def key(number: int, keys: int) -> str:
    """The name of a key: ``keys`` of them are spread evenly over 1,000 prefixes, and sort by their number."""
    each = max(1, keys // PREFIXES)
    return f"{number // each:05d}/{number % each:08d}"


def _loads(server: Server, bucket: str, keys: int, connections: int) -> dict[str, Load]:
    """The loads that can be repeated."""
    signer = server.signer()
    order = random.Random(keys)
    gets = [signer.target("GET", f"/{bucket}/{key(order.randrange(keys), keys)}") for _ in range(READS)]
    query = {"list-type": "2", "max-keys": str(PAGE)}
    pages = [
        signer.target("GET", f"/{bucket}", {**query, "start-after": key(order.randrange(max(1, keys - PAGE)), keys)})
        for _ in range(PAGES)
    ]
    groups = [signer.target("GET", f"/{bucket}", {**query, "delimiter": "/"}) for _ in range(PAGES)]
    return {
        "GET": Load("GET", gets, connections),
        "LIST": Load("GET", pages, LIST_CONNECTIONS),
        "LIST by prefix": Load("GET", groups, LIST_CONNECTIONS),
    }


def _check(server: Server, loads: dict[str, Load]) -> None:
    """Each page must hold what it is named for. Raises AnswerError otherwise."""
    with Api(server) as api:
        for measure, element in (("LIST", b"<Contents>"), ("LIST by prefix", b"<CommonPrefixes>")):
            count = api.call("GET", loads[measure].targets[0]).body.count(element)
            if count != PAGE:
                raise AnswerError(f"{measure} on {server.name} answered {count} of {PAGE} entries")


def _grow(server: Server, bucket: str, keys: int, connections: int, seconds: float) -> Load:
    """New keys, anywhere among the old."""
    signer = server.signer()
    order, tag = random.Random(keys), secrets.token_hex(4)
    paths = (
        f"/{bucket}/{order.randrange(PREFIXES):05d}/new-{tag}-{number:06d}" for number in range(int(RATE * seconds))
    )
    return Load("PUT", [signer.target("PUT", path) for path in paths], connections, _BODY, once=True)


def run(arena: Arena) -> None:
    """Only this server is given the buckets that are larger than ``peer_keys``."""
    options = arena.options
    for keys in options.keys:
        bucket = f"scale-{keys}"
        taking_part = [server for server in arena.servers if server.name == "tidegate" or keys <= options.peer_keys]
        loads: dict[str, dict[str, Load]] = {}
        for server in taking_part:
            say(f"  {keys:,} keys on {server.name}")
            fill(server, bucket, (key(number, keys) for number in range(keys)), _BODY)
            loads[server.name] = _loads(server, bucket, keys, options.connections)
            _check(server, loads[server.name])
        for _, servers in arena.rounds():
            turns = [server for server in servers if server in taking_part]
            for measure in ("GET", "LIST", "LIST by prefix"):
                for server in turns:
                    sample = load.run(server, loads[server.name][measure], options.seconds)
                    arena.notebook.add(f"{measure} at scale", server, sample, keys)
            for server in turns:
                new = _grow(server, bucket, keys, options.connections, options.seconds)
                arena.notebook.add("PUT at scale", server, load.run(server, new, options.seconds), keys)
