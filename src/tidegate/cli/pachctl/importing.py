"""``import``: a bucket, or what is below a prefix of it, into a branch, without copying a byte."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from tidegate.cli.pachctl import calls
from tidegate.cli.pachctl.arguments import file_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import FileArgument, MessageOption, ProjectOption
from tidegate.documents import Commit

# The longest that it takes: a billion names, which a server brings in at some ten thousand a second.
_SECONDS: Final = 100_000.0


def import_(
    uri: Annotated[
        str,
        typer.Argument(
            metavar="s3://BUCKET[/PREFIX]",
            help="What to bring in; ais://BUCKET is one of the server's own.",
            show_default=False,
        ),
    ],
    name: FileArgument,
    message: MessageOption = "",
    project: ProjectOption = "",
) -> None:
    """Bring a bucket into a branch by reference, in one commit, whose id is printed. No byte is copied."""
    client, target = connect(), file_of(name, project)
    calls.ensure_branch(client, target)
    path = f"{target.key.rstrip('/')}/" if target.key.rstrip("/") else ""
    action = {"uri": uri, "branch": target.ref, "path": path} | ({"message": message} if message else {})
    answer = client.request("POST", calls.repo_path(target.repo, "import"), action=action, timeout=_SECONDS)
    print(client.decode(answer, Commit).id)
