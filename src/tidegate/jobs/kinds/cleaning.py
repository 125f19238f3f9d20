"""``cleanup-store``: at once what is done every so often, garbage and what crashes left behind."""

from __future__ import annotations

from tidegate.gateway.assignments import Nothing
from tidegate.jobs import dropped, garbage
from tidegate.jobs.run import Run, advanced, finished


async def clean_up(run: Run, task: Nothing) -> None:
    """Removes what nobody can reach. Counts blobs and files."""
    del task
    await dropped.empty(run.rooms)
    await garbage.forget_uploads(run.rooms)
    count = await garbage.collect(run.rooms, run.data)
    count += await garbage.sweep(run.rooms, run.started)
    await run.step(lambda tx, job: finished(tx, advanced(job, None, objects=count)))
