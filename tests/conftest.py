"""What holds for every test: Hypothesis's settings, and no configuration from the machine it runs on."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nothing here is timed: a busy machine must not fail a test. In CI the examples are the same each time.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", hypothesis.settings.get_profile("default"), derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

# Who runs the tests in the background of a shell ignores interrupts, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What would lead a client or server under test away from the test's own settings.
_AMBIENT_PREFIXES = ("AIS_", "AWS_", "MINIO_", "RCLONE_", "S3CMD_", "TIDEGATE_")
_AMBIENT = {"AIS_ENDPOINT", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


@pytest.fixture(scope="session", autouse=True)
def _no_ambient_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take the user's variables and dot files away from every client and server that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            if name.startswith(_AMBIENT_PREFIXES) or name.upper() in _AMBIENT:
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # nobody waits for a metadata service that is not there
        yield
