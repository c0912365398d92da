"""What importing the operators and the sensor costs a DAG file, and the plugin every Airflow process.

Both are costs beyond what Airflow itself, and any other provider, imports anyway.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.report import Figure

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ("airflow-3", "airflow-2")

# A collection of Airflow's own garbage may be due at any moment, and would count as ours during our import.
_PROGRAM = """
import gc, time
begin = time.perf_counter()
{theirs}
airflow_took = time.perf_counter() - begin
gc.collect()
begin, worked = time.perf_counter(), time.process_time()
{ours}
print(airflow_took, time.perf_counter() - begin, time.process_time() - worked)
"""

_PROGRAMS = {
    "operators and sensor": _PROGRAM.format(
        theirs="""\
from airflow.providers.common.compat.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger""",
        ours="""\
import airflow_provider_partition_registry.operators.partition_registry
import airflow_provider_partition_registry.sensors.partition_registry""",
    ),
    "the plugin": _PROGRAM.format(
        theirs="from airflow.providers.common.compat.sdk import AirflowPlugin, hookimpl",
        ours="import airflow_provider_partition_registry.plugins.partition_registry",
    ),
}


def figures(repeats: int) -> Iterator[Figure]:
    """The figure in every environment that is installed; each repeat is a fresh process."""
    pythons = {name: ROOT / ".venvs" / name / "bin" / "python" for name in ENVIRONMENTS}
    present = {name: python for name, python in pythons.items() if python.exists()}
    if not present:
        present = {"this environment": Path(sys.executable)}
    times: dict[tuple[str, str], list[list[float]]] = {}
    # A home for each environment, as one that Airflow 3 has configured stops Airflow 2.
    with TemporaryDirectory() as homes:
        for _ in range(repeats + 1):
            for name, python in present.items():
                for what, program in _PROGRAMS.items():
                    times.setdefault((what, name), []).append(_import(python, program, f"{homes}/{name}"))
    for (what, name), runs in times.items():
        # The first process compiles.
        base, ours, work = (median(column) * 1000 for column in zip(*runs[1:], strict=True))
        label = f"importing {what}, {name}"
        yield Figure(label, ours, repeats, None, f"Airflow {base:.0f}", 25)
        yield Figure(f"{label}, CPU time", work, repeats, None, "", 25)


def _import(python: Path, program: str, airflow_home: str) -> list[float]:
    """Seconds for importing Airflow's base classes and ours, and the CPU seconds of the latter."""
    # Bytecode is kept, as for any installed package.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["AIRFLOW_HOME"] = airflow_home
    command = [str(python), "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()[-3:]]
