"""Everything that runs during the demo, a registry and two Airflow instances: how it starts and ends."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from demo.console import Console
from demo.homes import running_home
from demo.options import Options
from demo.registry import WARM_UP_DAY, Registry, furnish
from demo.sides import Side, Starting, stop_sides
from testbed.postgres import PostgresServer
from testbed.processes import new_temporary_folder

SHARED_FOLDERS = ("deliveries", "warehouse", "reports", "summaries")


@dataclass(frozen=True)
class World:
    """The setting of the story.

    :param folder: of this run; both Airflow instances read and write the data in it
    :param sides: the two Airflow instances
    """

    folder: Path
    registry: Registry
    sides: tuple[Side, Side]


def new_folder(parent: Path) -> Path:
    """This run's folder, named after the time, with what both sides share in it."""
    folder = parent.absolute() / f"{datetime.datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 - the user's own time
    for name in SHARED_FOLDERS:
        (folder / name).mkdir(parents=True)
    return folder


@contextlib.contextmanager
def running_world(options: Options, folder: Path, console: Console) -> Iterator[World]:
    """Start everything; at the end, however it comes, stop everything and keep the logs."""
    with contextlib.ExitStack() as at_end:
        postgres_folder = new_temporary_folder("demo-postgres")
        postgres = PostgresServer(durable=False, folder=postgres_folder)
        at_end.callback(_close, postgres, postgres_folder / "postgres.log", folder)
        sides = (
            Side(options.airflow_2_bin, folder, postgres),
            Side(options.airflow_3_bin, folder, None),
        )
        console.heading("Starting two Airflow instances that share nothing but a registry")
        home = at_end.enter_context(running_home(options, folder))
        registry = furnish(home, folder.name, [side.key for side in sides])
        at_end.callback(_stop, sides, console)
        _introduce(registry, sides, console)
        _start(sides, registry, folder, console)
        yield World(folder, registry, sides)


def prune(folder: Path) -> None:
    """Keep the logs of a run that is over, and remove databases, settings and copies of DAGs."""
    for home in folder.glob("airflow-*"):
        for entry in home.iterdir():
            if entry.name != "logs":
                _remove(entry)
    for entry in folder.glob("registry.db*"):
        _remove(entry)


def _remove(entry: Path) -> None:
    """Remove a file or a folder, even if a process that is about to end still uses it."""
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _introduce(registry: Registry, sides: tuple[Side, Side], console: Console) -> None:
    console.event("registry", registry.place)
    console.event("registry", f"source {registry.source}, written by one provider of each Airflow")
    for side in sides:
        console.event(side.name, f"{side.version}, metadata in a {side.metadata_database} of its own")


def _start(sides: tuple[Side, Side], registry: Registry, folder: Path, console: Console) -> None:
    beginning = time.monotonic()
    warm_up = {"source": registry.warm_up_source, "day": f"{WARM_UP_DAY.start:%Y-%m-%d}"}
    of_dags = {"DEMO_SOURCE": registry.source, "DEMO_FOLDER": str(folder)}
    starting = [
        Starting(partial(side.start, registry.connection(side.key) | of_dags, warm_up)) for side in sides
    ]
    for each in starting:
        each.start()
    told: dict[Side, str] = {}
    while any(each.is_alive() for each in starting) and not any(each.error for each in starting):
        _tell_news(sides, told, console)
        waiting = [side.name for side in sides if side.phase != "ready"]
        console.status(f"{time.monotonic() - beginning:4.0f} s  waiting for {' and '.join(waiting)}")
        time.sleep(0.25)
    _tell_news(sides, told, console)
    for each in starting:
        if each.error:
            raise each.error


def _tell_news(sides: tuple[Side, Side], told: dict[Side, str], console: Console) -> None:
    for side in sides:
        phase = side.describe()
        if phase != told.get(side, ""):
            told[side] = phase
            after = f" after {side.ready_after:.0f} s: {side.instance.ui_url}" if phase == "ready" else ""
            console.event(side.name, f"{phase}{after}")


def _stop(sides: tuple[Side, Side], console: Console) -> None:
    console.status("Stopping both Airflow instances ...")
    stop_sides(*sides)


def _close(postgres: PostgresServer, log: Path, folder: Path) -> None:
    postgres.close()
    if log.exists():
        shutil.copy(log, folder)
