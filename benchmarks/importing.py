"""What a DAG file pays for importing the operators and the sensor, beyond Airflow's own base classes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.report import Figure

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ("airflow-3", "airflow-2")

# A collection of Airflow's own garbage, due at any moment, would be ours if it came while we are imported.
_PROGRAM = """
import gc, time
begin = time.perf_counter()
from airflow.providers.common.compat.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger
airflow_took = time.perf_counter() - begin
gc.collect()
begin, worked = time.perf_counter(), time.process_time()
import airflow_provider_partition_registry.operators.partition_registry
import airflow_provider_partition_registry.sensors.partition_registry
print(airflow_took, time.perf_counter() - begin, time.process_time() - worked)
"""


def figures(repeats: int) -> Iterator[Figure]:
    """The figure in every environment that is installed; each repeat is a fresh process."""
    pythons = {name: ROOT / ".venvs" / name / "bin" / "python" for name in ENVIRONMENTS}
    present = {name: python for name, python in pythons.items() if python.exists()}
    if not present:
        present = {"this environment": Path(sys.executable)}
    times: dict[str, list[list[float]]] = {name: [] for name in present}
    for _ in range(repeats + 1):
        for name, python in present.items():
            times[name].append(_import(python))
    for name, pairs in times.items():
        # The first one compiles.
        base, ours, work = (median(column) * 1000 for column in zip(*pairs[1:], strict=True))
        what = f"importing operators and sensor, {name}"
        yield Figure(what, ours, repeats, None, f"Airflow {base:.0f}", 25)
        yield Figure(f"{what}, CPU time", work, repeats, None, "", 25)


def _import(python: Path) -> list[float]:
    """Seconds: for Airflow's base classes, for ours, and of the latter the time that was worked."""
    # Bytecode is kept, as it is wherever a package has been installed.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [str(python), "-c", _PROGRAM]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()[-3:]]
