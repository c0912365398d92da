"""Logs of the service: one JSON object per line, with the id of the request that it belongs to."""

from __future__ import annotations

import logging
import math
import os
import time
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from airflow_provider_partition_registry.server.access.masking import Mask
from airflow_provider_partition_registry.server.middleware import request_id
from airflow_provider_partition_registry.server.settings import ADMINISTRATOR_TOKEN


class WithRequestId(logging.Filter):
    """Adds the request's id (correlation id) to whatever is logged while the request is served."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add it."""
        record.request_id = request_id.get()
        return True


class JsonLines(JsonFormatter):
    """Formats records as one JSON object per line, with times in UTC. Anything that looks like a token is masked."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Made anew in each worker process; the environment gives all of them the same token.
        self._mask = Mask(os.environ.get(ADMINISTRATOR_TOKEN))

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return self._mask.applied_to(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """ISO 8601 with milliseconds."""
        at = datetime.fromtimestamp(record.created, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Seldom:
    """Limits warnings that outsiders can cause as often as they like: each kind is logged once in a while.

    :param log: the logger to warn with.
    :param pause: seconds between two warnings of one kind; the second says how many were left out.
    """

    def __init__(self, log: logging.Logger, pause: float = 10.0) -> None:
        self._log = log
        self._pause = pause
        self._kinds: dict[str, tuple[float, int]] = {}

    def warn(self, message: str, *args: object) -> None:
        """Warn, unless a warning of this kind was logged just now.

        :param message: the logger's format string, which is also the kind.
        """
        now = time.monotonic()
        told_at, untold = self._kinds.get(message, (-math.inf, 0))
        if now - told_at < self._pause:
            self._kinds[message] = told_at, untold + 1
            return
        self._kinds[message] = now, 0
        self._log.warning(
            f"{message}{f' ({untold} more since the last such line.)' if untold else ''}", *args
        )


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": WithRequestId}},
    "formatters": {
        "json": {
            "()": JsonLines,
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
            # uvicorn adds the message once more for terminals.
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
"""In the form that ``logging.config.dictConfig`` takes."""
