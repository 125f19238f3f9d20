"""Files that are their owner's alone."""

from __future__ import annotations

import tempfile
from pathlib import Path


def keep(path: Path, content: bytes) -> None:
    """Writes a file that nobody else may read (mode 0600), and never half of it. Makes its directory (0700)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # mode 0600
        try:
            file.write(content)
            file.flush()
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
