"""Work that no request waits for: copying the log back, collecting garbage, sweeping up what crashes left; and what the
commands ``fsck``, ``gc``, ``backup`` and ``restore`` do.

One worker at a time does what is done regularly and the jobs that clients start, whichever holds the lock of the data
folder; when that worker dies, another takes over.
"""

from tidegate.jobs.runner import run

__all__ = ["run"]
