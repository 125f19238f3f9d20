"""How Pachyderm's commands are written down: verbs with what they are for below them, and the options of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.core import TyperGroup

from tidegate.cli.pachctl.completion import complete_branches, complete_files, complete_projects, complete_repos
from tidegate.cli.values import parse_duration

if TYPE_CHECKING:
    # What typer's classes are typed with.
    from typer._click import Context
    from typer._click.core import Command

_PLURALS: Final = {"branches": "branch", "branchs": "branch", "deliveries": "delivery"}


class Group(TyperGroup):
    """A group of commands. Called with nothing it says what it has; ``list repos`` is ``list repo``."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            print(ctx.get_help())
            raise typer.Exit
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        found = super().get_command(ctx, cmd_name)
        return found or super().get_command(ctx, _PLURALS.get(cmd_name, cmd_name.removesuffix("s")))


def group(help: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=help, cls=Group, add_completion=False, rich_markup_mode=None)


RepoArgument = Annotated[
    str, typer.Argument(metavar="REPO", help="A repo.", show_default=False, autocompletion=complete_repos)
]
BranchArgument = Annotated[
    str,
    typer.Argument(
        metavar="REPO@BRANCH", help="A branch of a repo.", show_default=False, autocompletion=complete_branches
    ),
]
RefArgument = Annotated[
    str,
    typer.Argument(
        metavar="REPO@BRANCH-OR-COMMIT",
        help="A branch, tag or commit; master^ and master~2 are before it.",
        show_default=False,
        autocompletion=complete_branches,
    ),
]
FileArgument = Annotated[
    str,
    typer.Argument(
        metavar="REPO@BRANCH-OR-COMMIT:/PATH",
        help="A path in a branch, tag or commit.",
        show_default=False,
        autocompletion=complete_files,
    ),
]
ProjectArgument = Annotated[
    str, typer.Argument(metavar="PROJECT", help="A project.", show_default=False, autocompletion=complete_projects)
]

ProjectOption = Annotated[
    str,
    typer.Option(
        "--project",
        metavar="PROJECT",
        help="The project of the repo (default: that of the configuration, or default).",
        show_default=False,
        autocompletion=complete_projects,
    ),
]
MessageOption = Annotated[
    str,
    typer.Option(
        "--message", "-m", "--description", metavar="TEXT", help="What to say of the commit.", show_default=False
    ),
]
DescriptionOption = Annotated[
    str | None,
    typer.Option("--description", "-d", metavar="TEXT", help="What it is for.", show_default=False),
]
ForceOption = Annotated[bool, typer.Option("--force", "-f", help="Also where something else depends on it.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="TIME", help="How long to wait at most.", parser=parse_duration, show_default=False
    ),
]
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-r", help="A directory, with all that is below it.")]
ParallelismOption = Annotated[int, typer.Option("--parallelism", "-p", min=1, max=64, help="How many files at a time.")]
ProgressOption = Annotated[
    bool | None,
    typer.Option("--progress/--no-progress", help="Show progress (default: on a terminal).", show_default=False),
]
