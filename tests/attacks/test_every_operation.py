"""Every operation of S3's model, as botocore sends it, is done or is said not to be implemented."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import model
from botocore.client import Config
from botocore.exceptions import ClientError

from tests.attacks.world import World
from tidegate.s3._operations import SUPERSEDED
from tidegate.s3.operations import HANDLERS
from tidegate.s3.routing import OPERATIONS

MODEL = botocore.session.Session().get_service_model("s3")

# Its request is that of ListBuckets.
ALIASES = {"ListDirectoryBuckets": "ListBuckets"}


def test_handlers_are_operations() -> None:
    """Nothing is implemented under a name that routing does not know."""
    assert set(HANDLERS) <= set(OPERATIONS)


@pytest.fixture(scope="module")
def client(open_world: World) -> Iterator[Any]:
    """A client that says what came, the first time. Not all operations are signed for the same service."""
    made = boto3.session.Session().client(
        "s3",
        endpoint_url=f"http://{open_world.host}",
        aws_access_key_id=open_world.alice.access,
        aws_secret_access_key=open_world.alice.secret,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}, inject_host_prefix=False, s3={"addressing_style": "path"}),
    )
    yield made
    made.close()


def example(shape: Any, bucket: str, name: str = "") -> Any:
    """The least that a shape can be."""
    if isinstance(shape, model.StructureShape):
        members = shape.required_members or (
            list(shape.members)[:1] if getattr(shape, "is_tagged_union", False) else []
        )
        return {member: example(shape.members[member], bucket, member) for member in members}
    if isinstance(shape, model.ListShape):
        return [example(shape.member, bucket)]
    if name == "Bucket":
        return bucket
    if isinstance(shape, model.StringShape):
        return shape.enum[0] if shape.enum else "k" * shape.metadata.get("min", 3)
    values = {
        "integer": 1,
        "long": 1,
        "boolean": False,
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "blob": b"",
        "map": {},
    }
    return values[shape.type_name]


@pytest.mark.parametrize("name", MODEL.operation_names)
@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
def test_every_operation_is_done_or_not_implemented(open_world: World, client: Any, name: str) -> None:
    """What has a handler is not 501; what has none is 501 with S3's code, whatever document or headers it needs."""
    bucket = open_world.make_bucket(open_world.alice)
    parameters = example(MODEL.operation_model(name).input_shape, bucket)
    if name == "CopyObject":
        parameters["CopySource"] = f"{bucket}/key"
    if name == "CreateBucket":
        parameters["Bucket"] = f"{bucket}-made"
    try:
        answer = client._make_api_call(name, parameters)
    except ClientError as error:
        answer = error.response
    status, code = answer["ResponseMetadata"]["HTTPStatusCode"], answer.get("Error", {}).get("Code", "")
    assert answer["ResponseMetadata"]["RequestId"]
    meant = ALIASES.get(name, SUPERSEDED.get(name, name))
    if meant in HANDLERS:
        assert status < 500, (status, code)
    else:
        assert (status, code) == (501, "NotImplemented")
