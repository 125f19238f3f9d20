"""``port-forward``: the server's ports on this machine, for S3 clients that look for them at ``localhost:30600``.

Where the server is on this machine there is nothing to forward: it is only seen to that it listens.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import client as connection
from tidegate.cli.transport import CONNECT_SECONDS

if TYPE_CHECKING:
    from tidegate.cli.pachctl.forwarder import Port

PACHD_PORT: Final = 30650
# Where the server shows repositories to S3 clients, and where they look for it.
REPOS_PORT: Final = 30600


def port_forward(
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="For the API.")] = PACHD_PORT,
    s3_port: Annotated[
        int, typer.Option("--s3gateway-port", "-s", min=0, max=65535, help="For S3 clients.")
    ] = REPOS_PORT,
    remote_s3_port: Annotated[
        int, typer.Option("--remote-s3gateway-port", min=1, max=65535, help="The server's (its --repos-port).")
    ] = REPOS_PORT,
) -> None:
    """Make the server's ports ports of this machine, until it is interrupted."""
    from tidegate.cli.pachctl.forwarder import HOST, Port, run

    address = urlsplit(connection.endpoint())
    host = address.hostname or HOST
    try:
        api = address.port or {"http": 80, "https": 443}[address.scheme]
    except ValueError:
        raise Failure(f"{connection.endpoint()} has no port") from None
    ports = (
        Port("pachd (Pachyderm daemon)", "--port", port, host, api),
        Port("s3gateway", "--s3gateway-port", s3_port, host, remote_s3_port),
    )
    for each in ports:
        _check(each)
    with suppress(KeyboardInterrupt):
        run(ports)


def _check(port: Port) -> None:
    """Raises ``Failure`` where nothing listens at the other end."""
    try:
        socket.create_connection((port.host, port.remote), CONNECT_SECONDS).close()
    except OSError as error:
        hint = "is the server running (tidegate serve), and is PACHD_ADDRESS its address?"
        if port.what == "s3gateway":
            hint = "the server's --repos-port is the one: --remote-s3gateway-port PORT"
        raise Failure(f"nothing listens on {port.host}:{port.remote}: {error.strerror or error}", hint) from None
