"""Over HTTPS clients sign less than over HTTP: bodies are unsigned, and checksums follow them as trailers."""

from __future__ import annotations

import io
import ssl
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore import httpchecksum
from botocore.config import Config
from botocore.exceptions import SSLError
from minio import Minio

from tests.clients.conftest import MIB, Connect, new_name
from tests.clients.programs import environment, run
from tests.clients.sdk import Pipe, read
from tidegate.testing import ServerProcess

ALGORITHMS = [name.upper() for name in httpchecksum._SUPPORTED_CHECKSUM_ALGORITHMS]


@pytest.fixture
def client(connect: Connect, tls_server: ServerProcess, certificate: tuple[Path, Path]) -> Any:
    """A boto3 client as it comes, which trusts the server's certificate."""
    return connect(tls_server, verify=str(certificate[0]))


@pytest.fixture
def bucket(client: Any) -> str:
    """A bucket of the server that speaks HTTPS."""
    name = new_name()
    client.create_bucket(Bucket=name)
    return name


def test_an_unknown_certificate_is_not_trusted(connect: Connect, tls_server: ServerProcess) -> None:
    """It is really TLS: a client that does not know the certificate does not go on."""
    stranger = connect(tls_server, config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(SSLError):
        stranger.list_buckets()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_boto3_sends_checksums_as_trailers(client: Any, bucket: str, algorithm: str) -> None:
    """Bodies that cannot be read twice are put with a checksum of any algorithm behind them, which is kept."""
    for size in 0, 1, 64 * 1024, 3 * MIB + 1:
        data = bytes(size)
        put = client.put_object(
            Bucket=bucket, Key="object", Body=Pipe(data), ContentLength=size, ChecksumAlgorithm=algorithm
        )
        head = client.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
        assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
        assert "ContentEncoding" not in head
        assert read(client, bucket, "object") == data


def test_boto3_transfers(client: Any, bucket: str, large_bytes: bytes) -> None:
    """The transfer manager's defaults over HTTPS: parts with trailers, from files and from streams."""
    client.upload_fileobj(io.BytesIO(large_bytes), bucket, "large", ExtraArgs={"ContentEncoding": "gzip"})
    fetched = io.BytesIO()
    client.download_fileobj(bucket, "large", fetched)
    assert fetched.getvalue() == large_bytes
    assert client.head_object(Bucket=bucket, Key="large")["ContentEncoding"] == "gzip"
    client.upload_fileobj(Pipe(large_bytes), bucket, "streamed")
    assert read(client, bucket, "streamed") == large_bytes


def test_presigned_urls_are_https(client: Any, bucket: str, certificate: tuple[Path, Path]) -> None:
    """URLs that are presigned for HTTPS work over HTTPS."""
    where = {"Bucket": bucket, "Key": "object"}
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with urllib3.PoolManager(retries=False, ssl_context=context) as pool:
        assert pool.request("PUT", client.generate_presigned_url("put_object", where), body=b"data").status == 200
        assert pool.request("GET", client.generate_presigned_url("get_object", where)).data == b"data"


def test_awscli(tls_server: ServerProcess, certificate: tuple[Path, Path], tmp_path: Path, large_bytes: bytes) -> None:
    """aws s3 copies files and streams over HTTPS."""
    env = environment(tls_server, AWS_CA_BUNDLE=str(certificate[0]), AWS_ENDPOINT_URL=tls_server.url)
    (tmp_path / "large").write_bytes(large_bytes[: 9 * MIB])
    run("aws", "s3", "mb", "s3://tls-awscli", env=env)
    run("aws", "s3", "cp", "large", "s3://tls-awscli", env=env, cwd=tmp_path)
    run("aws", "s3", "cp", "-", "s3://tls-awscli/stream", env=env, data=b"from a stream")
    run("aws", "s3", "sync", "s3://tls-awscli", "fetched", env=env, cwd=tmp_path)
    assert (tmp_path / "fetched/large").read_bytes() == large_bytes[: 9 * MIB]
    assert (tmp_path / "fetched/stream").read_bytes() == b"from a stream"


def test_s3cmd(tls_server: ServerProcess, certificate: tuple[Path, Path], tmp_path: Path, large_bytes: bytes) -> None:
    """s3cmd, whose default is HTTPS, needs no --no-ssl."""
    host = f"localhost:{tls_server.port}/s3"
    options = (f"--host={host}", f"--host-bucket={host}", f"--ca-certs={certificate[0]}")
    (tmp_path / "large").write_bytes(large_bytes[: 9 * MIB])
    for arguments in (
        ("mb", "s3://tls-s3cmd"),
        ("put", "large", "s3://tls-s3cmd", "--multipart-chunk-size-mb=5"),
        ("get", "s3://tls-s3cmd/large", "fetched"),
    ):
        assert run("s3cmd", *options, *arguments, env=environment(tls_server), cwd=tmp_path).errors == ""
    assert (tmp_path / "fetched").read_bytes() == large_bytes[: 9 * MIB]


def test_minio(tls_server: ServerProcess, certificate: tuple[Path, Path], large_bytes: bytes) -> None:
    """minio-py leaves bodies unsigned over HTTPS."""
    with urllib3.PoolManager(ca_certs=str(certificate[0])) as pool:
        minio = Minio(
            endpoint=f"localhost:{tls_server.port}",
            access_key=tls_server.access_key,
            secret_key=tls_server.secret_key,
            http_client=pool,
        )
        minio.make_bucket(bucket_name="tls-minio")
        data = large_bytes[: 9 * MIB]
        stream = io.BufferedReader(Pipe(data))
        minio.put_object(bucket_name="tls-minio", object_name="large", data=stream, length=-1, part_size=5 * MIB)
        with minio.get_object(bucket_name="tls-minio", object_name="large") as answer:
            assert answer.read() == data
