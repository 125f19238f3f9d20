"""The commands of ``ais``, put together.

A command is a function in the module of what it is about, and stands here under every name that AIStore gives it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from tidegate import __version__
from tidegate.cli import running
from tidegate.cli.ais import (
    auth,
    buckets,
    cluster,
    completion,
    configuration,
    getting,
    jobs,
    listing,
    objects,
    properties,
    putting,
)
from tidegate.cli.ais.grammar import UNNAMED, Group, group

app = typer.Typer(
    help="AIStore's command line. The server's address is taken from AIS_ENDPOINT (default: localhost:8080).",
    cls=Group,
    pretty_exceptions_enable=False,  # they show the values of variables, secrets among them
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(to: typer.Typer, *commands: tuple[str, Callable[..., Any]]) -> None:
    for name, command in commands:
        to.command(name, hidden=name == UNNAMED)(command)


bucket = group("Make, list, configure and remove buckets.")
props = group("Show and change a bucket's properties.")
object_ = group("Write, read, list and remove objects.")
show = group("Show buckets, objects, jobs and the cluster.")
config = group("Show and change the configuration.")
wait = group("Wait for jobs.")
start = group("Start jobs.")
stop = group("Stop jobs.")
job = group("Show, start, stop and await jobs.")

_add(
    props,
    ("set", properties.set_),
    ("reset", properties.reset),
    ("show", properties.show),
    (UNNAMED, properties.set_or_show),
)
_add(
    bucket,
    ("create", buckets.create),
    ("ls", listing.ls),
    ("rm", buckets.remove),
    ("show", properties.show),
    ("summary", buckets.summary),
    ("cp", buckets.copy),
    ("mv", buckets.move),
    ("evict", buckets.evict),
)
bucket.add_typer(props, name="props")
_add(
    object_,
    ("put", putting.put),
    ("get", getting.get),
    ("cat", getting.cat),
    ("ls", listing.ls),
    ("show", objects.show),
    ("rm", objects.remove),
    ("mv", objects.move),
    ("cp", objects.copy),
    ("set-custom", objects.set_custom),
    ("prefetch", buckets.prefetch),
    ("evict", buckets.evict),
)
_add(
    show,
    ("bucket", properties.show),
    ("object", objects.show),
    ("cluster", cluster.show),
    ("job", jobs.show),
    ("config", configuration.show_cluster),
)
_add(
    config,
    ("cluster", configuration.cluster),
    ("reset", configuration.reset),
    ("cli", configuration.cli),
)
_add(wait, ("job", jobs.wait), (UNNAMED, jobs.wait))
_add(start, ("job", jobs.start), (UNNAMED, jobs.start))
_add(stop, ("job", jobs.stop), (UNNAMED, jobs.stop))
_add(job, ("show", jobs.show), ("start", jobs.start), ("stop", jobs.stop), ("wait", jobs.wait))

_add(
    app,
    ("ls", listing.ls),
    ("create", buckets.create),
    ("put", putting.put),
    ("get", getting.get),
    ("cp", buckets.copy),
    ("rmb", buckets.remove),
    ("rmo", objects.remove),
    ("evict", buckets.evict),
    ("prefetch", buckets.prefetch),
)
app.add_typer(auth.auth, name="auth")
app.add_typer(bucket, name="bucket")
app.add_typer(object_, name="object")
app.add_typer(show, name="show")
app.add_typer(config, name="config")
app.add_typer(job, name="job")
app.add_typer(start, name="start")
app.add_typer(stop, name="stop")
app.add_typer(wait, name="wait")


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"ais (tidegate {__version__})")
        raise typer.Exit


@app.callback()
def _ais(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version


def run() -> int:
    """Runs the command line of this process; its exit code."""
    command = partial(running.run, app, "ais", unnamed=UNNAMED)
    return completion.complete_in_bash(command, os.environ) if completion.is_for_bash(os.environ) else command()
