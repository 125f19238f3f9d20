"""``prefetch-listrange``: reads objects of another provider's bucket that are not cached, several at once."""

from __future__ import annotations

from tidegate.gateway.assignments import Prefetch
from tidegate.gateway.remote.fetching import fetch
from tidegate.jobs.kinds import apart
from tidegate.jobs.run import Run, source_elsewhere
from tidegate.model import Bucket


async def prefetch(run: Run, task: Prefetch) -> None:
    """Reads what there is to read. What was read stays cached, and is found so when the job is gone on with."""

    async def act(bucket: Bucket, key: str) -> int | None:
        return await fetch(run.gateway.reads, bucket, key, latest=task.latest)

    await apart.each(
        run, task.selection, lambda tx: source_elsewhere(tx, run.job, "s3:GetObject"), act, goes_on=task.goes_on
    )
