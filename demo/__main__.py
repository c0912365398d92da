"""``python -m demo``: start, play, judge, stop. The exit code is 0 only if the facts prove the promise."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.jsonable import to_jsonable
from demo.console import BOLD, GREEN, RED, Console, short_path
from demo.facts import Facts
from demo.options import Options, parse_options
from demo.story import acts_of, play
from demo.timeline import timeline
from demo.unattended import runs_without_sensor
from demo.verdict import Check, judge
from demo.world import World, new_folder, prune, running_world
from testbed.processes import TestbedError

KEPT, BROKEN, COULD_NOT_PLAY, INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    """Run the demo; the exit code."""
    options = parse_options()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets background jobs ignore the former
        signal.signal(number, _interrupt)
    folder = new_folder(options.folder)
    console = Console(folder / "demo.log")
    beginning = time.monotonic()
    try:
        exit_code = _run(options, folder, console)
    except KeyboardInterrupt:
        console.line("Interrupted.")
        exit_code = INTERRUPTED
    except (TestbedError, RegistryError, OSError, LookupError) as error:
        console.line(f"The demo could not be played: {error}", RED)
        exit_code = COULD_NOT_PLAY
    prune(folder)
    console.line(
        f"Everything is stopped after {time.monotonic() - beginning:.0f} s. Logs: {short_path(folder)}"
    )
    return exit_code


def _run(options: Options, folder: Path, console: Console) -> int:
    with running_world(options, folder, console) as world:
        acts = tuple(play(act, world, console) for act in acts_of(world))
        facts = Facts(
            clock_is_ahead=world.registry.clock_is_ahead,
            acts=acts,
            summaries=runs_without_sensor(acts, world, console),
        )
        checks = judge(facts)
        (folder / "facts.json").write_text(json.dumps(to_jsonable([facts, checks]), indent=1))
        _print_timeline(facts, console)
        exit_code = _print_verdict(facts, checks, console)
        if options.keep:
            _keep(world, console)
        return exit_code


def _print_timeline(facts: Facts, console: Console) -> None:
    console.heading("Who did what when", "As the registry and both metadata databases recorded it.")
    for line in timeline(facts):
        console.line(line)


def _print_verdict(facts: Facts, checks: list[Check], console: Console) -> int:
    console.heading("Is the promise kept?", "A reader reads complete data, or it waits.")
    width = max(len(check.claim) for check in checks)
    for check in checks:
        act = f"act {check.act}" if check.act else "all  "
        mark = "ok    " if check.holds else "BROKEN"
        line = f"{mark}  {act}  {check.claim.ljust(width)}  {check.evidence}"
        console.line(line, None if check.holds else RED)
    console.line()
    broken = sum(not check.holds for check in checks)
    if broken:
        console.line(f"VERDICT: NOT PROVEN, {broken} of {len(checks)} checks failed.", RED)
        return BROKEN
    repaired = sum(act.act.fails for act in facts.acts)
    console.line(
        f"VERDICT: KEPT. {len(facts.acts)} hand-overs in both directions, {repaired} of them after a failed "
        f"write; no reader saw incomplete data ({len(checks)} checks).",
        GREEN,
    )
    return KEPT


def _keep(world: World, console: Console) -> None:
    console.heading("Both web pages stay until Ctrl-C")
    for side in world.sides:
        console.line(f"{side.name}: {side.instance.login_hint}", BOLD)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.line()


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
