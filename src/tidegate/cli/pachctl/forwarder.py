"""Passes TCP connections on: from ports of this machine to those of another, or of this."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

import msgspec

from tidegate.cli.failures import Failure

HOST: Final = "127.0.0.1"
# What is read at a time; larger pieces do not make it faster.
_BLOCK: Final = 64 * 1024


class Port(msgspec.Struct, frozen=True):
    """A port on this machine, and what it leads to. ``option`` is how its user names another."""

    what: str
    option: str
    local: int
    host: str
    remote: int

    @property
    def is_here(self) -> bool:
        """Whether it is the server's own port already."""
        return self.local == self.remote and _is_loopback(self.host)


def run(ports: Sequence[Port]) -> None:
    """Says what is forwarded, and forwards it until it is interrupted. Raises ``Failure`` for a port that is taken."""
    asyncio.run(_forward(ports))


async def _forward(ports: Sequence[Port]) -> None:
    async with AsyncExitStack() as stack:
        for port in ports:
            print(f"Forwarding the {port.what} port...")
            listening = port.local
            if not port.is_here:
                server = await stack.enter_async_context(await _listen(port))
                listening = server.sockets[0].getsockname()[1]
            print(f"listening on port {listening}", flush=True)
        print("CTRL-C to exit", flush=True)
        await asyncio.Event().wait()


async def _listen(port: Port) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # cancelled only at the end, where asyncio would complain of it
            await _join(port, reader, writer)

    try:
        return await asyncio.start_server(serve, HOST, port.local)
    except OSError as error:
        raise Failure(f"cannot listen on port {port.local}: {error.strerror or error}", f"{port.option} PORT") from None


async def _join(port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Joins a connection with one to the server, until both ways have ended."""
    try:
        far_reader, far_writer = await asyncio.open_connection(port.host, port.remote)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer))
                group.create_task(_pump(far_reader, writer))
        except* OSError:  # whoever broke off, both are over
            pass
        finally:
            far_writer.close()
    finally:
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what comes, and that nothing comes any more."""
    while data := await reader.read(_BLOCK):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
