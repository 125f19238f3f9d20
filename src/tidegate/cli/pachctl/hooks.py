"""``list|create|delete hook``, and ``list|retry delivery``: URLs that are asked before commits, or told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate import errors
from tidegate.cli import say
from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.arguments import repo_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import ProjectOption, RepoArgument
from tidegate.cli.pachctl.output import FullTimestampsOption, OutputOption, RawOption
from tidegate.documents import Delivery, Hook, MadeHook
from tidegate.model import HookEvent

HookArgument = Annotated[str, typer.Argument(metavar="HOOK", help="The name of a hook.", show_default=False)]

EVENTS = tuple(HookEvent)


def list_(
    name: RepoArgument,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
) -> None:
    """List the hooks of a repo."""
    repo = repo_of(name, project)
    found = list(calls.items(connect(), calls.repo_path(repo, "hooks")))
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
        return

    def row(each: Hook) -> tuple[str, ...]:
        return each.name, ",".join(each.events), each.branch or "*", each.url

    output.table(found, Hook, ("HOOK", "EVENTS", "BRANCHES", "URL"), row)


def create(
    name: RepoArgument,
    hook: HookArgument,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="What is called.", show_default=False)],
    events: Annotated[
        list[str],
        typer.Option("--event", metavar="EVENT", help=f"{', '.join(EVENTS)}; several times.", show_default=False),
    ],
    branch: Annotated[
        str,
        typer.Option("--branch", metavar="PATTERN", help="Only for these branches: 'release-*'.", show_default=False),
    ] = "",
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="Its first line signs the calls; else one is made.",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = "",
) -> None:
    """Have a URL asked before something is committed or merged, or told after. Prints the secret, if one is made."""
    repo = repo_of(name, project)
    for event in events:
        if event not in EVENTS:
            raise errors.InvalidArgument(f'"{event}" is no event: {", ".join(EVENTS)}')
    action: dict[str, object] = {"name": hook, "url": url, "events": sorted(set(events), key=EVENTS.index)}
    if branch:
        action["branch"] = branch
    if secret_file is not None:
        action["secret"] = _first_line(secret_file)
    client = connect()
    made = client.decode(client.request("POST", calls.repo_path(repo, "hooks"), action=action), MadeHook)
    if secret_file is None:
        print(made.secret)
        say.note("This is the secret that its calls are signed with. It is not shown again.")


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read the secret in {path}: {error}") from None
    if not lines or not lines[0].strip():
        raise Failure(f"there is no secret in the first line of {path}")
    return lines[0].strip()


def delete(name: RepoArgument, hook: HookArgument, project: ProjectOption = "") -> None:
    """Remove a hook, with what it was not told yet."""
    connect().request("DELETE", calls.repo_path(repo_of(name, project), "hooks", hook))


def list_deliveries(
    name: RepoArgument,
    hook: HookArgument,
    number: Annotated[
        int, typer.Option("--number", "-n", min=0, help="How many at most, the newest; 0 for all.", show_default=True)
    ] = 100,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """List what a hook was sent, the newest first."""
    path = calls.repo_path(repo_of(name, project), "hooks", hook, "deliveries")
    found = list(calls.items(connect(), path, limit=number))
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
        return

    def row(each: Delivery) -> tuple[str, ...]:
        said = each.answer.partition("\n")[0] if each.state != "delivered" else ""
        status = text.NOTHING if each.status is None else str(each.status)
        age = text.age(each.created, is_full=is_full)
        return each.id, each.event, each.branch, each.state, str(each.attempts), status, age, said

    header = ("DELIVERY", "EVENT", "BRANCH", "STATE", "TRIES", "STATUS", "CREATED", "ANSWER")
    output.table(found, Delivery, header, row)


def retry_delivery(
    name: RepoArgument,
    hook: HookArgument,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id.", show_default=False)],
    project: ProjectOption = "",
) -> None:
    """Send something to a hook once more, or at once if it waits."""
    path = calls.repo_path(repo_of(name, project), "hooks", hook, "deliveries", delivery, "retry")
    connect().request("POST", path)
