"""``python -m soak``: start, load, break, judge, stop. The exit code is 0 only if everything was kept."""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from airflow_provider_partition_registry.domain.errors import RegistryError
from demo.console import GREEN, RED, Console, short_path
from demo.options import PROJECT
from soak.figures import figures
from soak.picture import draw
from soak.plan import Plan
from soak.running import run
from soak.verdict import Check, judge
from soak.world import running_world
from testbed.processes import TestbedError

KEPT, BROKEN, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    """Run the soak; the exit code."""
    plan, parent = _options()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets background jobs ignore the former
        signal.signal(number, _interrupt)
    folder = parent.absolute() / f"{datetime.datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 - the user's own time
    folder.mkdir(parents=True)
    console = Console(folder / "soak.log")
    beginning = time.monotonic()
    try:
        exit_code = _run(plan, folder, console)
    except KeyboardInterrupt:
        console.line("Interrupted.")
        exit_code = INTERRUPTED
    except (TestbedError, RegistryError, OSError, RuntimeError) as error:
        console.line(f"The soak could not be run: {error}", RED)
        exit_code = COULD_NOT_RUN
    took = time.monotonic() - beginning
    console.line(f"Everything is stopped after {took:.0f} s. Logs, figures and picture: {short_path(folder)}")
    return exit_code


def _options() -> tuple[Plan, Path]:
    parser = argparse.ArgumentParser(
        prog="python -m soak",
        description="Writers, waiting triggers and event streams, all at once, while everything is broken once.",
    )
    default = Plan()
    parser.add_argument("--minutes", type=float, default=default.minutes, help="[%(default)s]")
    parser.add_argument("--sources", type=int, default=default.sources, help="[%(default)s]")
    parser.add_argument("--waits", type=int, default=default.waits, help="triggers that wait [%(default)s]")
    parser.add_argument(
        "--streams", type=int, default=default.streams, help="open event streams [%(default)s]"
    )
    parser.add_argument(
        "--rate", type=float, default=default.rate, help="partitions written a second [%(default)s]"
    )
    parser.add_argument(
        "--folder", type=Path, default=PROJECT / ".soak", help="where each run keeps its logs [.soak]"
    )
    options = vars(parser.parse_args())
    folder = options.pop("folder")
    return Plan(**options), folder


def _run(plan: Plan, folder: Path, console: Console) -> int:
    console.line(
        f"{plan.minutes:g} minutes: {plan.rate:g} partitions a second in {plan.sources} sources, "
        f"{plan.waits:,} waiting triggers, {plan.streams:,} event streams."
    )
    with running_world(plan, folder) as world:
        facts = run(world, console)
    checks = judge(facts)
    found = figures(facts, checks)
    (folder / "soak.json").write_text(json.dumps(found))
    (folder / "soak.svg").write_text(draw(found))
    return _print_verdict(checks, console)


def _print_verdict(checks: list[Check], console: Console) -> int:
    console.heading("Is everything kept?")
    width = max(len(check.claim) for check in checks)
    marks = {True: "ok       ", False: "BROKEN   ", None: "too short"}
    for check in checks:
        first, *others = check.evidence.split("; ")
        style = RED if check.holds is False else None
        console.line(f"{marks[check.holds]}  {check.claim.ljust(width)}  {first}", style)
        for each in others:
            console.line(f"{' ' * (len(marks[None]) + width + 4)}{each}", style)
    console.line()
    broken = sum(check.holds is False for check in checks)
    if broken:
        console.line(f"VERDICT: BROKEN, {broken} of {len(checks)} checks failed.", RED)
        return BROKEN
    proved = sum(check.holds is True for check in checks)
    console.line(
        f"VERDICT: KEPT, {proved} of {len(checks)} checks; the others need a longer soak."
        if proved < len(checks)
        else f"VERDICT: KEPT, all {proved} checks.",
        GREEN,
    )
    return KEPT


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
