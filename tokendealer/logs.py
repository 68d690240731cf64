"""The log: one event a line on standard error, as JSON or for people."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

from tokendealer.settings import LogFormat


def _name_service(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event["service"] = "tokendealer"
    return event


def _make_printable(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    # A path may hold what a terminal would obey; JSON escapes that by itself.
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = ascii(value)
    return event


def configure_logging(log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Set up structlog, and have what libraries log through `logging` look the same.

    A trace names files and lines but never the values of variables: there are secrets among them.
    """
    stream = stream or sys.stderr
    before: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        after: list[Processor] = [
            _name_service,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        formatter = structlog.dev.plain_traceback
        after = [
            _make_printable,
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=formatter),
        ]
    structlog.configure(
        processors=[*before, *after],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
