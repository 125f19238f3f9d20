"""``tidegate serve`` with the rooms of ``standin``: takes the same arguments."""

from __future__ import annotations

import sys
from unittest.mock import patch


def main() -> None:
    from tidegate.cli import main as tidegate
    from tidegate.server import supervisor

    run = supervisor.run
    with patch.object(supervisor, "run", lambda settings: run(settings, "tests.server.standin:open_house")):
        sys.argv = ["tidegate", "serve", *sys.argv[1:]]
        tidegate()


if __name__ == "__main__":
    main()
