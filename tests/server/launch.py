"""``tidegate serve`` with the rooms of ``standin``: takes the same arguments. Begins as the installed script does."""

from __future__ import annotations

import sys

from tidegate.cli import main


def serve_standin() -> None:
    """Replaces the rooms, and otherwise does what ``tidegate serve`` does."""
    from unittest.mock import patch

    from tidegate.server import pool, supervisor

    run = supervisor.run
    pool.HUNG_SECONDS = 2.0  # a test need not wait as long as a server should
    with patch.object(supervisor, "run", lambda settings: run(settings, "tests.server.standin:open_house")):
        sys.argv = ["tidegate", "serve", *sys.argv[1:]]
        main()


if __name__ == "__main__":
    serve_standin()
