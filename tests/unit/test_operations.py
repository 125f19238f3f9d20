"""The generated table of operations says what the installed botocore's model says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import botocore.session
import pytest

from tidegate.s3 import _operations
from tidegate.s3.routing import OPERATIONS
from tools import generate_operations

if TYPE_CHECKING:
    from pathlib import Path


def test_the_committed_table_has_no_drift() -> None:
    """Generating the table again changes nothing but, at most, the version of botocore that it names."""
    assert not generate_operations.drift(generate_operations.TARGET.read_text(), generate_operations.render())


def test_every_operation_of_the_model_has_a_name_here() -> None:
    """An operation of Amazon's is in the table, or is deprecated and its successor is."""
    model = botocore.session.Session().get_service_model("s3")
    assert {row.name for row in _operations.OPERATIONS} | set(_operations.SUPERSEDED) == set(model.operation_names)
    assert set(_operations.SUPERSEDED.values()) <= set(OPERATIONS)
    assert not set(_operations.SUPERSEDED) & set(OPERATIONS)


def test_success_statuses_are_the_models() -> None:
    """An operation's status is the model's responseCode, and 200 where the model is silent."""
    assert OPERATIONS["DeleteObject"].status == 204
    assert OPERATIONS["AbortMultipartUpload"].status == 204
    assert OPERATIONS["PutObject"].status == 200
    assert OPERATIONS["DeleteObjects"].status == 200


def test_headers_are_lower_case_and_families_are_prefixes() -> None:
    """``headers`` has whole lower-case names; ``x-amz-meta-`` is a prefix of the operations that store metadata."""
    for operation in OPERATIONS.values():
        assert all(header == header.lower() and not header.endswith(("*", "-")) for header in operation.headers)
    assert {name for name, operation in OPERATIONS.items() if "x-amz-meta-" in operation.header_prefixes} == {
        "CopyObject",
        "CreateMultipartUpload",
        "PutObject",
        "WriteGetObjectResponse",
    }
    assert {"range", "if-none-match", "x-amz-server-side-encryption-customer-key"} <= OPERATIONS["GetObject"].headers


def test_only_headers_without_a_sub_resource_choose() -> None:
    """A header chooses an operation only where the URI alone would mean another one."""
    assert {name: operation.chosen_by for name, operation in OPERATIONS.items() if operation.chosen_by} == {
        "CopyObject": ("x-amz-copy-source",),
        "UploadPartCopy": ("x-amz-copy-source",),
        "WriteGetObjectResponse": ("x-amz-request-route", "x-amz-request-token"),
    }


def test_check_fails_with_a_diff_on_changed_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check exits 1, shows what differs and leaves the file as it is."""
    target = tmp_path / "_operations.py"
    changed = generate_operations.TARGET.read_text().replace('"DeleteBucket", "DELETE"', '"DeleteBucket", "GET"')
    target.write_text(changed)
    monkeypatch.setattr(generate_operations, "TARGET", target)
    monkeypatch.setattr(sys, "argv", ["generate_operations.py", "--check"])
    assert generate_operations.main() == 1
    assert '+    Row("DeleteBucket", "DELETE"' in capsys.readouterr().out
    assert target.read_text() == changed


def test_another_botocore_version_alone_is_no_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that differs in the version it names passes --check, and writing leaves it untouched."""
    target = tmp_path / "_operations.py"
    committed = generate_operations.TARGET.read_text()
    other = generate_operations.VERSION.sub("0.0.1", committed)
    assert other != committed
    target.write_text(other)
    monkeypatch.setattr(generate_operations, "TARGET", target)
    for arguments in (["--check"], []):
        monkeypatch.setattr(sys, "argv", ["generate_operations.py", *arguments])
        assert generate_operations.main() == 0
    assert target.read_text() == other
    assert not capsys.readouterr().out


def test_writing_restores_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --check the file is written where it is missing or differs."""
    target = tmp_path / "_operations.py"
    monkeypatch.setattr(generate_operations, "TARGET", target)
    monkeypatch.setattr(sys, "argv", ["generate_operations.py"])
    assert generate_operations.main() == 0
    assert target.read_text() == generate_operations.render()


def test_two_operations_that_nothing_tells_apart_stop_the_generator() -> None:
    """A model in which a request could mean either of two current operations is refused, not guessed at."""
    one = next(item for item in generate_operations.load_model() if item.name == "GetBucketAcl")
    with pytest.raises(SystemExit, match="GetBucketAcl"):
        generate_operations.settle([one, one])
