"""How log lines are written, as text or as JSON: one configuration for the server, its workers and the libraries they
use.

Log lines go to standard error; standard output is for what a person or script waits for.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tidegate.settings import Settings

ROOT = "tidegate"

Fields = Mapping[str, object]


def configuration(settings: Settings) -> dict[str, Any]:
    """A configuration for ``logging.config.dictConfig``. It can be pickled, so that workers get the same."""
    level = settings.log_level.upper()
    formatter = JSONFormatter if settings.log_format == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"tidegate": {"()": f"{formatter.__module__}.{formatter.__qualname__}"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "tidegate"}
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            ROOT: {"level": level},
            # It warns of every malformed request, which anyone can send; its faults are errors.
            "uvicorn": {"level": level if level == "DEBUG" else "ERROR"},
            # Its warnings have URLs in them, and those signatures.
            "urllib3": {"level": "ERROR"},
        },
    }


def _moment(record: logging.LogRecord) -> str:
    """When it happened, UTC: ``2026-01-02T03:04:05.678Z``."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> Fields:
    """What a log call gave as ``extra={"fields": {...}}``."""
    fields: Fields = getattr(record, "fields", {})
    return fields


class TextFormatter(logging.Formatter):
    """``2026-01-02T03:04:05.678Z INFO tidegate.server[123] message name=value name="quoted value"``."""

    def format(self, record: logging.LogRecord) -> str:
        words = [_moment(record), record.levelname, f"{record.name}[{record.process}]", record.getMessage()]
        words += [f"{name}={quoted(value)}" for name, value in _fields(record).items()]
        line = " ".join(words)
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class JSONFormatter(logging.Formatter):
    """One JSON object a line, with a tracebacks's lines inside it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def quoted(value: object) -> str:
    """A value in a text line: as it is where that is one plain word, else as a JSON string of ASCII."""
    word = str(value)
    if word.isascii() and word.isprintable() and word and not any(character in ' "=\\' for character in word):
        return word
    return json.dumps(word)
