"""Runs ``ais`` as a user does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.cli.program import Kind, Program
from tidegate import testing

AIS = Kind("ais", "AIS_", "AIS_ENDPOINT")
_MAIN = AIS.main
environment = AIS.environment
install = AIS.install


class Ais(Program):
    """``ais`` of a server, in a folder: ``ais("ls", "ais:")``."""

    def __init__(self, server: testing.Server | None, folder: Path, variables: Mapping[str, str]) -> None:
        super().__init__(AIS, server, folder, variables)
