"""Remotes, each started once by whoever needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.upstream.remotes import START, Remote


@pytest.fixture(scope="session", params=sorted(START))
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Every remote in turn."""
    with ExitStack() as stack:
        yield START[request.param](stack, tmp_path_factory.mktemp(str(request.param)))


@pytest.fixture(scope="session")
def s3_remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A remote that does all that S3 does and checks credentials: another Tidegate."""
    with ExitStack() as stack:
        yield START["tidegate"](stack, tmp_path_factory.mktemp("remote"))
