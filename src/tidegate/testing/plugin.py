"""pytest fixtures: ``tidegate_server``, a running server, and ``tidegate_factory``, which starts one as you want it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tidegate.testing import ServerProcess, serve

Factory = Callable[..., ServerProcess]


@pytest.fixture
def tidegate_factory() -> Iterator[Factory]:
    """Starts servers: ``tidegate_factory(auth=True, workers=2)``, with the arguments of ``tidegate.testing.serve``.

    They are stopped at the end of the test.
    """
    with ExitStack() as stack:

        def start(**settings: object) -> ServerProcess:
            return stack.enter_context(serve(**settings))  # type: ignore[arg-type]  # data, command and settings by name

        yield start


@pytest.fixture
def tidegate_server(tidegate_factory: Factory) -> ServerProcess:
    """A running server on a free port, with a data folder of its own and authentication off."""
    return tidegate_factory()
