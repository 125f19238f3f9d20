"""``prefetch-listrange``: reads objects of another provider's bucket that are not cached, several at once."""

from __future__ import annotations

from typing import Final

from tidegate.catalog.abc import Reader
from tidegate.gateway.assignments import Prefetch
from tidegate.gateway.remote.gathering import Gathering
from tidegate.jobs.kinds import apart
from tidegate.jobs.run import Run, source_elsewhere
from tidegate.model import Bucket

# Objects that are opened, read or kept at once. Only ``apart.AT_ONCE`` of them are being read; the others are small and
# in memory, or wait for three answers of the remote's at most. Who wants to read one of them waits with it.
HELD: Final = 96


async def prefetch(run: Run, task: Prefetch) -> None:
    """Reads what there is to read. What was read stays cached, and is found so when the job is gone on with."""
    gathering = Gathering(run.gateway.reads, apart.AT_ONCE)

    async def act(bucket: Bucket, key: str) -> int | None:
        return await gathering.fetch(bucket, key, latest=task.latest)

    def find(tx: Reader) -> Bucket:
        return source_elsewhere(tx, run.job, "s3:GetObject")

    await apart.each(run, task.selection, find, act, goes_on=task.goes_on, at_once=HELD)
