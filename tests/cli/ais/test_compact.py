"""A bucket's properties in few lines."""

from __future__ import annotations

from tidegate.access import READ_ONLY
from tidegate.cli.ais import compact
from tidegate.properties import BucketProperties, present


def test_the_checksum_line_of_the_guides() -> None:
    """The line that the guides filter out of ``ais show bucket``."""
    tree = present(BucketProperties()) | {"checksum": {"type": "md5", "validate_cold_get": True}}
    assert compact.lines(tree)["checksum"] == "Type: md5 | Validate: ColdGET"


def test_what_is_validated() -> None:
    """Everything that is validated is named, and nothing as Nothing."""
    everything = dict.fromkeys(
        ("validate_cold_get", "validate_warm_get", "validate_obj_move", "enable_read_range"), True
    )
    assert compact.lines({"checksum": {"type": "xxhash", **everything}})["checksum"] == (
        "Type: xxhash | Validate: ColdGET,WarmGET,ObjectMove,ReadRange"
    )
    assert compact.lines({"checksum": {"type": "none"}})["checksum"] == "Type: none | Validate: Nothing"


def test_a_bucket_as_it_begins() -> None:
    """The lines are sorted, and what is not set is left out or Disabled."""
    tree = present(BucketProperties()) | {"provider": "ais", "created": "1661187840000000000", "bid": "0x1"}
    lines = compact.lines(tree)
    assert list(lines) == sorted(lines)
    assert lines["mirror"] == lines["ec"] == lines["lru"] == "Disabled"
    assert lines["versioning"] == "Enabled | Validate on WarmGET: no"
    assert {"backend_bck", "features", "write_policy", "bid"}.isdisjoint(lines)


def test_a_bucket_that_is_configured() -> None:
    """What is set is told in words."""
    tree: dict[str, object] = {
        "access": str(int(READ_ONLY)),
        "backend_bck": {"name": "cloud", "provider": "aws"},
        "ec": {"enabled": True, "data_slices": 2, "parity_slices": 1, "objsize_limit": 262_144},
        "features": "8",
        "mirror": {"enabled": True, "copies": 2},
        "versioning": {"enabled": False},
        "write_policy": {"data": "delayed", "md": ""},
    }
    assert compact.lines(tree) == {
        "access": "GET,HEAD-OBJECT,HEAD-BUCKET,LIST-OBJECTS",
        "backend_bck": "s3://cloud",
        "ec": "2:1 (256.00KiB)",
        "features": "S3-API-via-Root",
        "mirror": "2 copies",
        "present": "yes",
        "versioning": "Disabled",
        "write_policy": "Data: delayed | Metadata: immediate",
    }


def test_values_that_nobody_knows_stay_as_they_are() -> None:
    """A newer server's masks do not break the table."""
    assert compact.readable({"access": "?", "features": "x", "bid": "0x1"}) == {
        "access": "?",
        "features": "x",
        "bid": "0x1",
    }
