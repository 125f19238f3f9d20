"""What a shell completes: names of buckets and jobs, asked of the server while one types.

A completion is quick or it is not at all: errors and slow servers give none.

bash takes a colon for the end of a word: ``ais ls ais://a`` comes as five words. ``complete_in_bash`` puts them
together again, and gives back what stands behind the colon, which is all that bash replaces.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import redirect_stdout

# Somebody waits with a finger on the key.
_SECONDS = 1.0
VARIABLE = "_AIS_COMPLETE"


def complete_buckets(incomplete: str) -> list[str]:
    """The buckets whose URI begins so."""
    from tidegate import errors
    from tidegate.cli.ais import calls, client
    from tidegate.cli.failures import Failure
    from tidegate.names import provider_of

    try:
        scheme = incomplete.partition(":")[0] if ":" in incomplete else ""
        found = calls.buckets(client.connect(), provider_of(scheme) if scheme else "", timeout=_SECONDS)
    except (Failure, errors.Error):
        return []
    uris = [bucket.uri for bucket in found]
    if scheme:  # as it was spelt: aws:// for s3://
        uris = [f"{scheme}:{uri.partition(':')[2]}" for uri in uris]
    return [uri for uri in uris if uri.startswith(incomplete)]


def complete_jobs(incomplete: str) -> list[str]:
    """The ids of jobs that run."""
    from tidegate.cli.ais import calls, client
    from tidegate.cli.failures import Failure

    try:
        found = calls.jobs(client.connect(), timeout=_SECONDS)
    except Failure:
        return []
    return [job.id for _, job in found if not job.is_over and job.id.startswith(incomplete)]


def complete_in_bash(app: Callable[[], int], environment: MutableMapping[str, str]) -> int:
    """Answers bash's question in the environment. ``app`` answers it for whole words, on standard output."""
    words = environment.get("COMP_WORDS", "").split("\n" if "\n" in environment.get("COMP_WORDS", "") else " ")
    at = int(environment.get("COMP_CWORD", "0") or 0)
    words, at, cut = rejoin(words, at)
    environment.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(at))
    output = io.StringIO()
    with redirect_stdout(output):
        code = app()
    sys.stdout.write("".join(f"{line[cut:]}\n" for line in output.getvalue().splitlines()))
    return code


def rejoin(words: list[str], at: int) -> tuple[list[str], int, int]:
    """Words that a shell divided at colons, whole again; the place of the one being typed, and how much of it stands
    before its last colon.
    """
    whole: list[str] = []
    place, cut = len(words), 0
    for index, word in enumerate(words):
        is_more = bool(whole) and (word == ":" or (word.startswith("//") and whole[-1].endswith(":")))
        before = whole.pop() if is_more else ""
        whole.append(before + word)
        if index == at:
            place = len(whole) - 1
            cut = len(before) + (word == ":") if is_more else 0
    return whole, min(place, len(whole)), cut


def is_for_bash(environment: Mapping[str, str]) -> bool:
    """Whether it is bash that asks."""
    return environment.get(VARIABLE, "").endswith("_bash") and "COMP_WORDS" in environment
