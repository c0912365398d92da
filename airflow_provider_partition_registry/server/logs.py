"""Logs of a service: one JSON object per line, each with the id of the request that it is about."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_partition_registry.server.middleware import request_id


class WithRequestId(logging.Filter):
    """Adds the request's id to whatever is logged while one is served."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add it."""
        record.request_id = request_id.get()
        return True


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": WithRequestId}},
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"]}
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"uvicorn": {"level": "INFO"}, "uvicorn.access": {"level": "WARNING"}},
}
"""As ``logging.config.dictConfig`` takes it."""
