"""Get-Batch: small objects in one stream, against the same objects one by one over one connection."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from benchmarks import client, load, native
from benchmarks.arena import Arena, fill
from benchmarks.measures.small import BUCKET, key
from benchmarks.s3 import AnswerError
from benchmarks.servers import USER
from benchmarks.values import MIB, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.servers import Server

BLOCK = 512  # of a tar archive: a header takes one, what follows it whole ones
END = 2 * BLOCK
_BUFFER = bytearray(MIB)


def _one_by_one(server: Server, targets: Sequence[str]) -> Outcome:
    outcome = client.drive(server.endpoint, "GET", iter(targets), connections=1)
    if outcome.errors or outcome.requests != len(targets):
        raise AnswerError(f"{outcome.errors} of {outcome.requests} GETs failed: {outcome.problem}")
    return outcome


def _batch(server: Server, token: str, keys: Sequence[str], size: int) -> None:
    message = {"in": [{"objname": name} for name in keys], "mime": ".tar", "strm": True}
    expected = len(keys) * (BLOCK + size + -size % BLOCK) + END
    found = 0
    with native.call(server, "GET", f"/v1/ml/moss/{BUCKET}", message, token) as answer:
        while count := answer.readinto(_BUFFER):
            found += count
    if found != expected:
        raise AnswerError(f"the batch has {found} bytes, not {expected}")


def run(arena: Arena) -> None:
    """Only for a server that has batches. One by one is S3's GET, the fastest that there is, by the cheapest client."""
    options = arena.options
    keys = [key(number) for number in range(options.objects)]
    for server in arena.servers:
        if server.name != "tidegate":
            continue
        fill(server, BUCKET, keys, os.urandom(options.small))
        signer, token = server.signer(), native.log_in(server, USER)
        for _ in arena.rounds():
            targets = [signer.target("GET", f"/{BUCKET}/{name}") for name in keys]
            outcomes: list[Outcome] = []
            sample = load.clock(server, lambda: outcomes.append(_one_by_one(server, targets)))  # noqa: B023 - called here
            (outcome,) = outcomes
            sample = msgspec.structs.replace(sample, requests=len(keys), p50=outcome.p50, p99=outcome.p99)
            arena.notebook.add("one by one", server, sample)
            sample = load.clock(server, partial(_batch, server, token, keys, options.small))
            arena.notebook.add("in one batch", server, msgspec.structs.replace(sample, requests=len(keys)))
