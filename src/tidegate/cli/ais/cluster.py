"""``ais show cluster``: who is there."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tidegate.cli.ais import calls, text
from tidegate.cli.ais.client import connect
from tidegate.cli.ais.grammar import JsonOption, NoHeaderOption
from tidegate.cli.ais.shapes import Node


def show(
    what: Annotated[
        Literal["all", "smap", "proxy", "target"],
        typer.Argument(metavar="[smap|proxy|target]", help="Only these nodes.", show_default=False),
    ] = "all",
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the cluster map: proxies and targets, which may be one and the same process."""
    found = calls.cluster_map(connect())
    if as_json:
        print(text.document(found))
        return
    proxies, targets = sorted(found.pmap.values(), key=_id), sorted(found.tmap.values(), key=_id)
    nodes = [*(proxies if what != "target" else []), *(targets if what != "proxy" else [])]
    rows = [
        (f"{node.daemon_type[:1]}[{node.daemon_id}]", node.daemon_type, node.public_net.direct_url) for node in nodes
    ]
    print(text.table(("NODE", "TYPE", "PUBLIC URL"), rows, has_header=not no_headers))
    if what in {"all", "smap"}:
        print()
        print(f"Primary Proxy: p[{found.proxy_si.daemon_id}]")
        print(
            f"Summary: proxies({len(proxies)}), targets({len(targets)}), "
            f'cluster map(v{found.version}), cluster ID("{found.uuid}")'
        )


def _id(node: Node) -> str:
    return node.daemon_id
