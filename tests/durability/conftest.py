"""A data folder with something in it, made once, and copies of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.durability.folder import fill


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with something of everything in it; not to be changed."""
    data = tmp_path_factory.mktemp("filled") / "data"
    fill(data)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A copy of it, to change or damage."""
    return shutil.copytree(filled, tmp_path / "data")
