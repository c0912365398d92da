"""A soak in small: everything that takes part really does, and what it notes is judged."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.options import PROJECT
from testbed.processes import wait_until
from tests.system.test_demo import processes_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SMALL = ("--sources", "5", "--waits", "100", "--streams", "30", "--rate", "5")


def soak(folder: Path, minutes: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "soak", "--minutes", str(minutes), *SMALL, "--folder", str(folder)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_minute_of_everything(tmp_path: Path) -> None:
    with soak(tmp_path, minutes=0.6) as process:
        output, _ = process.communicate()

    (figures,) = tmp_path.glob("*/soak.json")
    found = json.loads(figures.read_text())
    broken = [claim for claim, holds, _ in found["checks"] if holds is False]
    assert broken == [], output
    assert process.returncode == 0, output
    assert "VERDICT: KEPT, 10 of 15 checks; the others need a longer soak." in output
    assert [name for name, *_ in found["accidents"]] == [
        "PostgreSQL is restarted",
        "service 1 is killed",
        "service 2 is killed",
        "a writer is frozen",
    ]
    assert set(found["memory"]) == {
        *("PostgreSQL", "service 1", "service 2"),
        *("triggerer", "streams", "writer", "harness"),
    }
    assert len(found["latencies"]) == 6
    assert figures.with_suffix(".svg").read_text().count("<path") > 20
    assert processes_of(tmp_path) == []


def test_an_interrupt_ends_everything(tmp_path: Path) -> None:
    with soak(tmp_path, minutes=30) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert next((line for line in lines if re.search("the writers begin", line)), None)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)

    assert process.returncode == 130
    assert "Interrupted." in output
    wait_until(lambda: not processes_of(tmp_path), what="all that it started to end", timeout=20)
