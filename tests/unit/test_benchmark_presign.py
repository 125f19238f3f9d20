"""The benchmarks' own presigner against botocore's."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from benchmarks.presign import Signer
from benchmarks.values import Credentials

HOST = "127.0.0.1:8080"
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("path", "query", "headers"),
    [
        ("/bucket/key", {}, {}),
        ("/bucket/a//b/../é %+~.txt", {}, {}),
        ("/bucket", {"list-type": "2", "start-after": "00001/00 é&=", "delimiter": "/", "list-type-x": ""}, {}),
        ("/bucket/key", {"uploads": ""}, {}),
        ("/bucket/key", {}, {"x-amz-copy-source": "/bucket/other"}),
    ],
    ids=["plain", "odd key", "list", "empty value", "header"],
)
def test_a_target_is_what_botocore_signs(
    method: str, path: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    """For the same request at the same moment, the query that botocore makes and ours have the same fields."""
    bare = Signer(KEYS, HOST).target(method, path).partition("?")[0]
    request = AWSRequest(method, f"http://{HOST}{bare}", params=query, headers=headers)
    S3SigV4QueryAuth(BotoCredentials(KEYS.access_key, KEYS.secret_key), "s3", "us-east-1", expires=900).add_auth(
        request
    )
    expected = urlsplit(request.url)
    fields = parse_qs(expected.query, keep_blank_values=True)
    moment = datetime.strptime(fields["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    made = urlsplit(Signer(KEYS, HOST, at=moment).target(method, path, query, headers, expires=900))

    assert made.path == expected.path
    assert parse_qs(made.query, keep_blank_values=True) == fields


def test_two_targets_for_one_key_differ() -> None:
    """No server can answer from a memory of signatures that it has seen."""
    signer = Signer(KEYS, HOST)
    made = [signer.target("GET", "/bucket/key") for _ in range(1000)]
    assert len(set(made)) == len(made)
