"""What a script pays that starts ``partition-registry`` for one question."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.data import Series
from benchmarks.report import Figure

LIBRARIES = "import sqlalchemy, psycopg2"


def figures(url: str, series: Series, repeats: int) -> Iterator[Figure]:
    """How long ``partition-registry ready`` takes in a new process, with a registry that has the series published."""
    interval = series.interval(0)
    ask = ["-m", "airflow_provider_partition_registry.cli", "ready", series.source_name]
    commands = {
        "libraries": ["-c", LIBRARIES],
        "ready": [*ask, "--start", interval.start.isoformat(), "--end", interval.end.isoformat()],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats + 1):
        for name, command in commands.items():
            seconds[name].append(_run(command, url))
    # The first process compiles.
    libraries, ready = (median(each[1:]) * 1000 for each in seconds.values())
    yield Figure(
        "partition-registry ready, a process from start to end",
        *(ready, repeats, libraries, f'python -c "{LIBRARIES}"', 2),
    )


def _run(command: Sequence[str], url: str) -> float:
    # Bytecode is kept, as for any installed package.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PARTITION_REGISTRY_URL"] = url
    begin = time.perf_counter()
    subprocess.run([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin
