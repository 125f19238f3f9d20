"""Requests are routed to the operation they mean, and to none where they mean none."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

import botocore.serialize
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.s3 import _operations, routing
from tidegate.s3.routing import MODEL_HEADERS, OPERATIONS, POST_OBJECT, Operation, hoisted_headers, route
from tidegate.s3.target import Level, parse_query, parse_target

MODEL = botocore.session.Session().get_service_model("s3")
ROUTED = sorted(set(MODEL.operation_names) - {"WriteGetObjectResponse"})  # that one has a path of its own
PLACES = sorted({(operation.method, operation.level) for operation in OPERATIONS.values()})
# What AWS's own services and SDKs put into any query.
PRESIGNED = [
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-Credential", "AK/20260101/us-east-1/s3/aws4_request"),
    ("X-Amz-Date", "20260101T000000Z"),
    ("X-Amz-Expires", "900"),
    ("X-Amz-SignedHeaders", "host"),
    ("X-Amz-Signature", "0" * 64),
]
PRESIGNED_V2 = [("AWSAccessKeyId", "AK"), ("Expires", "1767225600"), ("Signature", "c2ln")]


def example(shape: Any) -> Any:
    """Return some value that botocore can serialise for a field."""
    examples: dict[str, Any] = {
        "integer": 1,
        "long": 1,
        "boolean": True,
        "timestamp": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "blob": b"",
        "structure": {},
        "list": ["x"] if shape.type_name == "list" and shape.member.type_name == "string" else [],
        "map": {"x": "y"},
    }
    return examples.get(shape.type_name, "x")


def serialized(name: str, *, optional_fields: bool) -> tuple[str, Level, list[tuple[str, str]], set[str]]:
    """Return what ``route`` is told of the request that botocore makes for an operation."""
    operation = MODEL.operation_model(name)
    fields = operation.input_shape.members if operation.input_shape else {}
    required = operation.input_shape.required_members if operation.input_shape else []
    parameters = {
        field: {"Bucket": "bucket", "Key": "a/key"}.get(field, example(shape))
        for field, shape in fields.items()
        if field in required or (optional_fields and "location" in shape.serialization)
    }
    serializer = botocore.serialize.create_serializer("rest-xml", include_validation=False)
    request = serializer.serialize_to_request(parameters, operation)
    path, _, query = request["url_path"].partition("?")
    raw_query = "&".join(filter(None, (query, urlencode(request["query_string"]))))
    level = parse_target(path.encode(), "localhost").level
    return request["method"], level, parse_query(raw_query.encode()), {name.lower() for name in request["headers"]}


@pytest.mark.parametrize("name", ROUTED)
def test_what_botocore_sends_for_an_operation_is_routed_to_it(name: str) -> None:
    """A request with an operation's required fields means that operation, or the successor of a deprecated one."""
    # Without a field of its own a request for directory buckets is one for all buckets: they have another endpoint.
    expected = "ListBuckets" if name == "ListDirectoryBuckets" else _operations.SUPERSEDED.get(name, name)
    assert route(*serialized(name, optional_fields=False)) is OPERATIONS[expected]


@pytest.mark.parametrize("name", sorted(set(ROUTED) - set(_operations.SUPERSEDED)))
def test_an_operation_takes_all_of_its_own_fields(name: str) -> None:
    """With every optional field set the request still means the same, and no header is missing from the table."""
    method, level, query, headers = serialized(name, optional_fields=True)
    operation = route(method, level, query, headers)
    assert operation is OPERATIONS[name]
    stored = {header for header in headers if header.startswith(operation.header_prefixes or ("-",))}
    assert headers - stored - {"content-type"} <= operation.headers


@pytest.mark.parametrize("name", ROUTED)
@pytest.mark.parametrize("extra", [PRESIGNED, PRESIGNED_V2, [("x-id", "Anything")]], ids=["v4", "v2", "x-id"])
def test_signatures_in_the_query_change_no_route(name: str, extra: list[tuple[str, str]]) -> None:
    """A presigned URL means what the same request means with its signature in a header."""
    method, level, query, headers = serialized(name, optional_fields=False)
    operation = route(method, level, query, headers)
    assert route(method, level, query + extra, headers) is operation
    lowered = [(field.lower() if field.startswith("X-") else field, value) for field, value in extra]
    assert route(method, level, lowered + query, headers) is operation


def test_an_operation_of_another_endpoint_is_known_by_name() -> None:
    """WriteGetObjectResponse is told by its headers, since its path is no bucket's."""
    headers = {"x-amz-request-route", "x-amz-request-token"}
    assert route("POST", "service", [], headers) is OPERATIONS["WriteGetObjectResponse"]
    with pytest.raises(errors.MethodNotAllowed):
        route("POST", "service", [], set())


def test_a_form_upload_is_an_operation_too() -> None:
    """POST on a bucket without a sub-resource is a browser's form upload."""
    assert route("POST", "bucket", [], set()) is POST_OBJECT


# --- attack group 16: an unknown sub-resource falls through to the base operation ----------------------------------


@pytest.mark.parametrize(("method", "level"), PLACES)
@pytest.mark.parametrize("query", [[("foo", "")], [("foo", "1"), ("bar", "")], [("", "x")], [("ACL", "")]], ids=repr)
def test_attack_16_an_unknown_sub_resource_is_not_implemented(
    method: str, level: Level, query: list[tuple[str, str]]
) -> None:
    """A name that nobody knows is 501 by any method: DELETE /b?foo deletes nothing, PUT /b/k?foo writes nothing."""
    with pytest.raises(errors.NotImplementedByServer):
        route(method, level, query, set())


@pytest.mark.parametrize(
    "operation", [item for item in OPERATIONS.values() if not item.chosen_by], ids=lambda o: o.name
)
def test_attack_16_an_unknown_name_beside_a_known_one_is_not_implemented(operation: Operation) -> None:
    """No operation ignores a query name that it does not know."""
    query = [(name, dict(operation.values).get(name, "")) for name in operation.query]
    for complete in ([*query, ("foo", "")], [("foo", ""), *query]):
        with pytest.raises(errors.NotImplementedByServer, match="'foo'"):
            route(operation.method, operation.level, complete, set())


@pytest.mark.parametrize(
    ("method", "level", "name"),
    [
        ("DELETE", "bucket", "acl"),
        ("DELETE", "bucket", "versioning"),
        ("DELETE", "bucket", "uploads"),
        ("PUT", "bucket", "uploads"),
        ("PUT", "bucket", "location"),
        ("PUT", "bucket", "versions"),
        ("PUT", "object", "uploads"),
        ("PUT", "object", "attributes"),
        ("DELETE", "object", "acl"),
        ("DELETE", "object", "retention"),
        ("HEAD", "object", "tagging"),
        ("POST", "bucket", "acl"),
    ],
)
def test_attack_16_a_sub_resource_of_another_method_is_not_implemented(method: str, level: Level, name: str) -> None:
    """A sub-resource that exists, but not for this method, never means the bucket or object itself."""
    with pytest.raises(errors.NotImplementedByServer, match=name):
        route(method, level, [(name, "")], set())


def test_attack_16_put_acl_creates_no_bucket() -> None:
    """PUT /b?acl is PutBucketAcl."""
    assert route("PUT", "bucket", [("acl", "")], set()) is OPERATIONS["PutBucketAcl"]


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("PUT", [("partNumber", "1")]),
        ("PUT", [("uploadId", "u")]),
        ("PUT", [("versionId", "v")]),
        ("PUT", [("annotationName", "a")]),
        ("PUT", [("annotation", "")]),
        ("DELETE", [("annotation", "")]),
        ("DELETE", [("annotationName", "a")]),
        ("POST", [("select", "")]),
        ("POST", [("select-type", "2")]),
        ("POST", [("versionId", "v")]),
        ("GET", [("max-parts", "1")]),
        ("GET", [("uploadId", "u"), ("versionId", "v")]),
        ("GET", [("acl", ""), ("partNumber", "1")]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("headers", [set(), {"x-amz-copy-source"}], ids=["plain", "copy"])
def test_attack_16_a_parameter_without_its_companions_is_refused(
    method: str, query: list[tuple[str, str]], headers: set[str]
) -> None:
    """PUT /b/k?partNumber=1 without uploadId overwrites nothing, and so for every name of another operation."""
    with pytest.raises(errors.InvalidArgument, match=query[-1][0]):
        route(method, "object", query, headers)


@pytest.mark.parametrize("name", ["analytics", "inventory", "metrics", "intelligent-tiering"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_attack_16_a_configuration_without_its_id_is_refused(method: str, name: str) -> None:
    """DELETE /b?analytics without an id does not delete the bucket."""
    with pytest.raises(errors.InvalidArgument, match=f"{name} needs id"):
        route(method, "bucket", [(name, "")], set())


@pytest.mark.parametrize(
    ("method", "level", "names"),
    [
        ("GET", "object", ["acl", "tagging"]),
        ("PUT", "object", ["acl", "tagging"]),
        ("GET", "bucket", ["list-type", "versions"]),
        ("GET", "bucket", ["policy", "uploads"]),
        ("DELETE", "bucket", ["cors", "policy"]),
        ("DELETE", "object", ["tagging", "uploadId"]),
        ("POST", "object", ["uploadId", "uploads"]),
        ("PUT", "object", ["partNumber", "tagging", "uploadId"]),
    ],
)
@pytest.mark.parametrize("headers", [set(), {"x-amz-copy-source"}], ids=["plain", "copy"])
def test_attack_16_two_sub_resources_conflict(method: str, level: Level, names: list[str], headers: set[str]) -> None:
    """A request for two things at once is refused in whichever order they come."""
    query = [(name, "2") for name in names]
    for order in (query, query[::-1]):
        with pytest.raises(errors.InvalidArgument, match=f"Conflicting query string parameters: {', '.join(names)}"):
            route(method, level, order, headers)


@pytest.mark.parametrize("name", ["acl", "versionId", "foo", "X-Amz-Signature", "Expires", "x-id"])
def test_attack_16_a_name_given_twice_is_refused(name: str) -> None:
    """A repeated name is refused, so that no two readers of the query can take different values."""
    with pytest.raises(errors.InvalidArgument, match="more than once"):
        route("GET", "object", [(name, "a"), ("partNumber", "1"), (name, "b")], set())


def test_attack_16_a_signing_field_given_twice_in_another_case_is_refused() -> None:
    """X-Amz- fields have no case, so x-amz-date beside X-Amz-Date is a repetition."""
    with pytest.raises(errors.InvalidArgument, match="more than once"):
        route("GET", "object", [("X-Amz-Date", "a"), ("x-amz-date", "b")], set())


@pytest.mark.parametrize("header", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_attack_16_headers_that_override_the_method_are_ignored(header: str) -> None:
    """The method is the one of the request line."""
    assert route("GET", "bucket", [], {header}) is OPERATIONS["ListObjects"]
    assert route("POST", "bucket", [], {header}) is POST_OBJECT
    with pytest.raises(errors.NotImplementedByServer):
        route("GET", "bucket", [("_method", "DELETE")], {header})


@pytest.mark.parametrize("level", ["service", "bucket", "object"])
def test_attack_16_a_preflight_gets_no_permission(level: Level) -> None:
    """OPTIONS without a CORS configuration is 403 as S3 answers, whatever the query."""
    for query in ([], [("acl", "")]):
        with pytest.raises(errors.AccessForbidden, match="CORS is not enabled for this bucket") as refused:
            route("OPTIONS", level, query, set())
        assert (refused.value.code, refused.value.status) == ("AccessForbidden", 403)


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "", "PUT "])
@pytest.mark.parametrize("level", ["service", "bucket", "object"])
def test_attack_16_unknown_methods_are_not_allowed(method: str, level: Level) -> None:
    """A method that S3 does not have is 405; methods are case-sensitive."""
    with pytest.raises(errors.MethodNotAllowed):
        route(method, level, [], set())


@pytest.mark.parametrize(("method", "level"), [("PUT", "service"), ("DELETE", "service"), ("HEAD", "service")])
def test_a_method_without_an_operation_is_not_allowed(method: str, level: Level) -> None:
    """There is nothing to PUT or DELETE at the service."""
    with pytest.raises(errors.MethodNotAllowed):
        route(method, level, [], set())


@pytest.mark.parametrize("query", [[], PRESIGNED], ids=["plain", "presigned"])
def test_post_on_an_object_needs_a_sub_resource(query: list[tuple[str, str]]) -> None:
    """POST /b/k alone is 405: there is no such operation."""
    with pytest.raises(errors.MethodNotAllowed):
        route("POST", "object", query, set())


@pytest.mark.parametrize(
    ("method", "level", "query"),
    [
        ("GET", "bucket", [("list-type", "1")]),
        ("GET", "bucket", [("list-type", "")]),
        ("GET", "bucket", [("prefix", "2"), ("list-type", "two")]),
        ("POST", "object", [("select", ""), ("select-type", "1")]),
    ],
    ids=repr,
)
def test_a_fixed_value_must_match(method: str, level: Level, query: list[tuple[str, str]]) -> None:
    """list-type=1 is neither ListObjectsV2 nor ListObjects, however often it is asked for."""
    for _ in range(2):
        with pytest.raises(errors.InvalidArgument, match="must be 2"):
            route(method, level, query, set())
    good = [(name, "2" if name.endswith("-type") else value) for name, value in query]
    assert route(method, level, good, set()).values


def test_overrides_belong_to_reads_of_an_object() -> None:
    """response-* fields are taken by GetObject and HeadObject only."""
    query = [("response-content-type", "text/plain"), ("response-new-header", "x")]
    assert route("GET", "object", query, set()) is OPERATIONS["GetObject"]
    assert route("HEAD", "object", query, set()) is OPERATIONS["HeadObject"]
    for method, level, extra in (("PUT", "object", []), ("GET", "bucket", []), ("GET", "object", [("acl", "")])):
        with pytest.raises(errors.NotImplementedByServer):
            route(method, level, query + extra, set())  # type: ignore[arg-type] # mypy joins the levels to str


def test_a_copy_is_told_by_its_header() -> None:
    """x-amz-copy-source makes a copy of an upload, of an object and of a part, wherever a signer has put it."""
    part = [("partNumber", "1"), ("uploadId", "u")]
    header = {"x-amz-copy-source"}
    hoisted = [("X-Amz-Copy-Source", "b/k")]
    assert route("PUT", "object", [], set()) is OPERATIONS["PutObject"]
    assert route("PUT", "object", [], header) is OPERATIONS["CopyObject"]
    assert route("PUT", "object", hoisted, set()) is OPERATIONS["CopyObject"]
    assert route("PUT", "object", part, set()) is OPERATIONS["UploadPart"]
    assert route("PUT", "object", part, header) is OPERATIONS["UploadPartCopy"]
    assert route("PUT", "object", part + hoisted, set()) is OPERATIONS["UploadPartCopy"]
    assert route("PUT", "object", [("tagging", "")], header) is OPERATIONS["PutObjectTagging"]


def test_attack_16_a_less_specific_operation_is_no_way_out() -> None:
    """An upload that takes a name which a copy does not take is not what a copy with that name means."""
    upload = Operation(name="Upload", method="PUT", level="object", optional=frozenset({"offset"}))
    copy = Operation(name="Copy", method="PUT", level="object", chosen_by=("x-amz-copy-source",))
    place = routing._place([upload, copy])
    assert routing._decide(place, ("offset",), ()) is upload
    with pytest.raises(errors.InvalidArgument, match="offset"):
        routing._decide(place, ("offset",), copy.chosen_by)


def test_headers_in_a_presigned_query_are_found() -> None:
    """Headers of the model that a presigner moved into the query are headers again, but no checksum of a body is."""
    query = [
        *PRESIGNED,
        ("x-amz-acl", "private"),
        ("X-Amz-Meta-Colour", "blue"),
        ("x-amz-server-side-encryption-customer-key", "secret"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-checksum-mode", "ENABLED"),
        ("range", "bytes=0-1"),
        ("versionId", "v"),
    ]
    assert hoisted_headers(query) == {
        "x-amz-acl": "private",
        "x-amz-meta-colour": "blue",
        "x-amz-server-side-encryption-customer-key": "secret",
        "x-amz-checksum-mode": "ENABLED",
    }
    assert not {name.lower() for name, _ in PRESIGNED} & MODEL_HEADERS


def test_attack_26_a_message_shows_no_more_of_a_name_than_is_safe() -> None:
    """A name that is huge or no text at all does not come back as such in the error."""
    for name in ("x" * 100_000, "\x01\x02\ufffe" * 9, "<b>&"):
        with pytest.raises(errors.NotImplementedByServer) as refused:
            route("GET", "bucket", [(name, "")], set())
        assert len(refused.value.message) < 1000
        assert refused.value.message.isascii()
        assert refused.value.message.isprintable()


NAMES = sorted({name for item in OPERATIONS.values() for name in (*item.query, *item.optional)})


@given(
    place=st.sampled_from(PLACES),
    names=st.lists(st.sampled_from([*NAMES, "foo", "x-id", "X-Amz-Date"]), max_size=4),
    copy=st.booleans(),
)
def test_attack_16_whatever_is_asked_is_taken_whole_or_refused(
    place: tuple[str, Level], names: list[str], *, copy: bool
) -> None:
    """A routed operation has all names it needs and takes all names it is given, and order does not matter."""
    method, level = place
    headers = {"x-amz-copy-source"} if copy else set()
    outcomes: list[Operation | None] = []
    for order in (names, names[::-1]):
        try:
            outcomes.append(route(method, level, [(name, "2") for name in order], headers))
        except (errors.InvalidArgument, errors.MethodNotAllowed, errors.NotImplementedByServer):
            outcomes.append(None)
    assert outcomes[0] is outcomes[1]
    operation = outcomes[0]
    if operation is None:
        return
    assert (operation.method, operation.level) == place
    assert set(operation.query) <= set(names)
    assert headers.issuperset(operation.chosen_by)
    assert set(names) <= {*operation.query, *operation.optional, "x-id", "X-Amz-Date"}
    assert len(set(names)) == len(names)
