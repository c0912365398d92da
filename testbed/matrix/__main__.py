"""Run rows of the matrix: ``python -m testbed.matrix [--quick] [ROW...]``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from testbed.matrix.checks import AirflowItselfFailsError, check_airflow, check_core
from testbed.matrix.environments import build_wheel, installed, prepare
from testbed.matrix.rows import ROWS, Row
from testbed.matrix.table import Outcome, renew
from testbed.processes import TestbedError

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
EXCEPTION = re.compile(r"[\w.]*(?:Error|Exception|Timeout)\w*: ")


def main() -> int:
    rows = {row.name: row for row in ROWS}
    parser = argparse.ArgumentParser(prog="python -m testbed.matrix", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"all unless given: {', '.join(rows)}")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="without Airflow's components, and without renewing the table of docs/support.md",
    )
    options = parser.parse_args()
    if unknown := set(options.rows) - set(rows):
        parser.error(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(rows)}")
    wheel = build_wheel()
    outcomes = []
    for name in options.rows or rows:
        beginning = time.monotonic()
        outcome = _run(rows[name], wheel, with_components=not options.quick)
        outcomes.append(outcome)
        print(f"{str(outcome).rstrip()} {time.monotonic() - beginning:.0f} s", flush=True)
        if not options.quick:
            renew([outcome])
    return int(any(outcome.is_ours for outcome in outcomes))


def _run(row: Row, wheel: Path, *, with_components: bool) -> Outcome:
    programs = prepare(row, wheel)
    common_compat = installed(programs, "apache-airflow-providers-common-compat")
    try:
        if row.airflow is None:
            check_core(programs)
        else:
            check_airflow(row, programs, with_components=with_components)
    except AirflowItselfFailsError as error:
        print(error, file=sys.stderr)
        return Outcome(row, common_compat, f"Airflow itself fails: {_last_error(str(error))}")
    except TestbedError as error:
        print(error, file=sys.stderr)
        return Outcome(row, common_compat, f"**fails**: {_last_error(str(error))}", is_ours=True)
    return Outcome(row, common_compat, "works")


def _last_error(output: str) -> str:
    """The last line that names an exception, otherwise the first line, shortened for a table, without addresses."""
    lines = [ADDRESS.sub("", line.strip(" |")) for line in output.splitlines()]
    named = [line for line in lines if EXCEPTION.match(line)]
    return (named[-1] if named else lines[0]).replace("|", r"\|")[:200]


if __name__ == "__main__":
    sys.exit(main())
