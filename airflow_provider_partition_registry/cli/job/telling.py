"""What ``run`` says of itself. Standard output is the command's; this goes to standard error."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_partition_registry.cli.output import as_json_text, tell
from airflow_provider_partition_registry.domain.jsonable import to_jsonable
from airflow_provider_partition_registry.domain.models import Partition


@dataclass(slots=True)
class Teller:
    """Tells of what happens, in sentences or as JSON, one object a line.

    :param is_verbose: tell also of what went well. Cron sends a mail about everything that is said.
    """

    as_json: bool
    is_verbose: bool
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def inform(self, code: str, message: str, partition: Partition | None = None) -> None:
        """Tell of what went well."""
        if self.is_verbose:
            self.warn(code, message, partition)

    def warn(self, code: str, message: str, partition: Partition | None = None) -> None:
        """Tell of what a person should know.

        :param code: what happened, for programs.
        """
        told: dict[str, Any] = {"code": code, "message": message}
        if partition is not None:
            told["partition"] = to_jsonable(partition)
        with self._one_at_a_time:
            tell(as_json_text(told) if self.as_json else f"partition-registry: {message}")
