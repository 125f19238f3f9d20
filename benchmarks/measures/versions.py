"""LIST of a page in whose middle one key has very many versions, beside a page of the same bucket that has none."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import load
from benchmarks.arena import Arena, prepare, put_all, say
from benchmarks.load import Load
from benchmarks.measures.scale import LIST_CONNECTIONS, PAGE, PAGES
from benchmarks.s3 import Api

if TYPE_CHECKING:
    from benchmarks.servers import Server

BUCKET = "versions"
_BODY = b"a few bytes"


def _fill(server: Server, versions: int) -> None:
    say(f"  {versions:,} versions of a key on {server.name}")
    with Api(server) as api:
        api.create_bucket(BUCKET)
        api.enable_versioning(BUCKET)
    put_all(server, BUCKET, (f"{side}/{number:06d}" for side in "az" for number in range(2 * PAGE)), _BODY)
    put_all(server, BUCKET, itertools.repeat("m", versions), _BODY)


def run(arena: Arena) -> None:
    """Only for servers that keep versions, of which the peer is none."""
    options = arena.options
    for server in arena.servers:
        if server.name != "tidegate":
            continue
        prepare(server, BUCKET, partial(_fill, server, options.versions))
        signer = server.signer()
        for measure, start in (("LIST past versions", 2 * PAGE - PAGE // 2), ("LIST before versions", 0)):
            query = {"list-type": "2", "max-keys": str(PAGE), "start-after": f"a/{start:06d}"}
            targets = [signer.target("GET", f"/{BUCKET}", query) for _ in range(PAGES)]
            for _ in arena.rounds():
                sample = load.run(server, Load("GET", targets, LIST_CONNECTIONS), options.seconds)
                arena.notebook.add(measure, server, sample, options.versions)
