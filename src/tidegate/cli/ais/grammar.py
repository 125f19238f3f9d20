"""How AIStore's commands are written down: groups that take an argument where a command could stand, and the options
that many commands share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from tidegate.cli.ais.completion import complete_buckets, complete_jobs
from tidegate.cli.ais.text import Units
from tidegate.cli.values import parse_duration

if TYPE_CHECKING:
    # What typer's classes are typed with.
    from typer._click import Context
    from typer._click.shell_completion import CompletionItem

# The command of a group that is meant where none is named: ``props BUCKET`` is ``props - BUCKET``.
UNNAMED = "-"


class Group(TyperGroup):
    """A group of commands. Called with nothing it says what it has; an argument goes to its unnamed command, if any."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            print(ctx.get_help())
            raise typer.Exit
        if args and UNNAMED in self.commands and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [UNNAMED, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        unnamed = self.commands.get(UNNAMED)
        if unnamed is not None:
            with unnamed.make_context(UNNAMED, [], parent=ctx, resilient_parsing=True) as inner:
                found += unnamed.params[0].shell_complete(inner, incomplete)
        return found


def group(help: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=help, cls=Group, add_completion=False, rich_markup_mode=None)


BucketArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUCKET", help="For instance ais://bucket.", show_default=False, autocompletion=complete_buckets
    ),
]
ObjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUCKET/OBJECT",
        help="For instance ais://bucket/object.",
        show_default=False,
        autocompletion=complete_buckets,
    ),
]
JobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="A job's id, or a kind of jobs.", show_default=False, autocompletion=complete_jobs
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", "-j", help="Print JSON.")]
NoHeaderOption = Annotated[
    bool, typer.Option("--no-headers", "--no-header", "-H", help="Print tables without headings.")
]
UnitsOption = Annotated[
    Units, typer.Option("--units", help="Sizes by 1024 (iec), by 1000 (si), or in bytes (raw).", metavar="iec|si|raw")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it is done.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        help="How long to wait at most, for instance 5m.",
        parser=parse_duration,
        show_default=False,
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
ProgressOption = Annotated[
    bool | None,
    typer.Option("--progress/--no-progress", help="Show progress (default: on a terminal).", show_default=False),
]
PrefixOption = Annotated[
    str, typer.Option("--prefix", metavar="PREFIX", help="Objects whose names begin so.", show_default=False)
]
ListOption = Annotated[
    str, typer.Option("--list", metavar="NAMES", help="Names with commas between them.", show_default=False)
]
TemplateOption = Annotated[
    str,
    typer.Option("--template", metavar="TEMPLATE", help="Names such as 'shard-{000..999}.tar'.", show_default=False),
]
WorkersOption = Annotated[int, typer.Option("--num-workers", min=1, max=64, help="How many at a time.")]
