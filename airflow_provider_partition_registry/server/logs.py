"""Logs of a service: one JSON object per line, each with the id of the request that it is about."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from airflow_provider_partition_registry.server.middleware import request_id

# Nothing here logs one. Callers may put theirs where none belongs: into a path, or a request's id.
_TOKEN = re.compile(r"prs_[\w-]+")


class WithRequestId(logging.Filter):
    """Adds the request's id to whatever is logged while one is served."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add it."""
        record.request_id = request_id.get()
        return True


class JsonLines(JsonFormatter):
    """One JSON object per line, its time in UTC. Whatever looks like an access token is left out, wherever it is."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return _TOKEN.sub("prs_***", super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """ISO 8601 with milliseconds."""
        at = datetime.fromtimestamp(record.created, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": WithRequestId}},
    "formatters": {
        "json": {
            "()": JsonLines,
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
            # What uvicorn adds for terminals is the message again.
            "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"]}
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "uvicorn": {"level": "INFO"},
        "uvicorn.access": {"level": "WARNING"},
        "alembic.runtime.plugins": {"level": "WARNING"},
    },
}
"""As ``logging.config.dictConfig`` takes it."""
