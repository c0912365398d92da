"""Messages of ``run`` itself. Standard output belongs to the command, so these go to standard error."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_partition_registry.cli.job.background import in_background
from airflow_provider_partition_registry.cli.output import as_json_text, printable_lines, write_all
from airflow_provider_partition_registry.domain.jsonable import to_jsonable
from airflow_provider_partition_registry.domain.models import Partition

LONGEST_WAIT = 1.0  # seconds for the reader: a terminal or a pipe may be held up for any time


@dataclass(slots=True)
class Reporter:
    """Reports what happens, in sentences or as JSON, one object per line. A report that fails changes nothing.

    :param is_verbose: report successes as well. Cron sends a mail about everything that is printed.
    """

    as_json: bool
    is_verbose: bool
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def inform(self, code: str, message: str, partition: Partition | None = None) -> None:
        """Report a success."""
        if self.is_verbose:
            self.warn(code, message, partition)

    def warn(self, code: str, message: str, partition: Partition | None = None) -> None:
        """Report what a person should know.

        :param code: what happened, for programs.
        """
        told: dict[str, Any] = {"code": code, "message": message}
        if partition is not None:
            told["partition"] = to_jsonable(partition)
        text = as_json_text(told) if self.as_json else f"partition-registry: {message}"
        wait([in_background(lambda: self._tell(text))], LONGEST_WAIT)

    def _tell(self, text: str) -> None:
        encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
        with self._one_at_a_time:
            write_all(2, f"{printable_lines(text)}\n".encode(encoding, "backslashreplace"))
