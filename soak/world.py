"""What runs in a soak: PostgreSQL, two services behind a load balancer, and who writes, waits and follows."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.maintenance import upgrade
from demo.options import ENVIRONMENTS, PROJECT
from soak.journal import STREAMS, JournalReader
from soak.plan import DATABASE, PROVIDER, SERVICE, Plan, source_name
from soak.triggerer import connection_id
from soak.writer import DATABASE_URL, SERVICE_URL, TOKEN
from testbed.balancing import balanced
from testbed.postgres import PostgresServer
from testbed.processes import Child, new_temporary_folder
from testbed.service_process import ServiceProcess

SERVICES = ("service 1", "service 2")
TRIGGERER, WRITER = "triggerer", "writer"
ADMINISTRATOR_TOKEN = "of-the-administrator"
SECONDS_TO_BEGIN = 5.0  # in which the writer is started


@dataclass
class World:
    """What runs.

    :param after: the position after which the soak's history begins.
    """

    plan: Plan
    folder: Path
    postgres: PostgresServer
    services: Mapping[str, ServiceProcess]
    balancer: str
    writers_token: str
    after: int

    def __post_init__(self) -> None:
        where = self.folder / "journals"
        where.mkdir()
        self._journals = {name: where / f"{name}.jsonl" for name in (TRIGGERER, STREAMS, WRITER)}
        self.readers = [JournalReader(each) for each in self._journals.values()]
        self.positions = self.folder / "positions.json"
        self.children = {
            STREAMS: self._child(STREAMS, str(self.positions), self.balancer, str(self.after)),
            TRIGGERER: self._child(TRIGGERER),
        }

    def begin_to_write(self) -> float:
        """Start the writer; returns when its plan begins, on the machine's monotonic clock."""
        start = time.monotonic() + SECONDS_TO_BEGIN
        self.children[WRITER] = self._child(WRITER, str(start))
        self.children[WRITER].start()
        return start

    def pids(self) -> dict[str, int]:
        """The processes, by their names."""
        return {
            "PostgreSQL": self.postgres.pid,
            **{name: service.process.pid for name, service in self.services.items()},
            **{name: child.pid for name, child in self.children.items() if child.was_started},
            "harness": os.getpid(),
        }

    def _child(self, name: str, *arguments: str) -> Child:
        url = self.postgres.url()
        return Child(
            f"the {name}",
            [
                sys.executable,
                "-m",
                f"soak.{name}",
                self.plan.to_json(),
                str(self._journals[name]),
                *arguments,
            ],
            self.folder / f"{name}.log",
            environment={
                **os.environ,
                "PYTHONPATH": str(PROJECT),
                "AIRFLOW_HOME": str(self.folder / "airflow"),
                DATABASE_URL: url,
                SERVICE_URL: self.balancer,
                TOKEN: self.writers_token,
                **{
                    f"AIRFLOW_CONN_{connection_id(way).upper()}": json.dumps(
                        {"conn_type": "partition_registry", "host": host}
                    )
                    for way, host in ((DATABASE, url), (SERVICE, self.balancer))
                },
            },
        )


@contextmanager
def running_world(plan: Plan, folder: Path) -> Iterator[World]:
    """Start everything but who takes part; at the end, however it comes, stop everything."""
    with ExitStack() as at_end:
        postgres_folder = new_temporary_folder("soak-postgres")
        at_end.callback(_keep, postgres_folder / "postgres.log", folder)
        postgres = at_end.enter_context(PostgresServer(folder=postgres_folder))
        upgrade(postgres.url())
        token, after = _register(postgres.url(), plan)
        services = {
            name: ServiceProcess(
                postgres.url(),
                python=ENVIRONMENTS / "core" / "bin" / "python",
                variables={"PARTITION_REGISTRY_ADMINISTRATOR_TOKEN": ADMINISTRATOR_TOKEN},
                log=folder / f"{name.replace(' ', '-')}.log",
            )
            for name in SERVICES
        }
        for service in services.values():
            at_end.enter_context(service)
        balancer = at_end.enter_context(balanced([each.url for each in services.values()]))
        world = World(plan, folder, postgres, services, balancer, token, after)
        at_end.callback(_stop, world)
        yield world


def _register(url: str, plan: Plan) -> tuple[str, int]:
    """Register the sources, and the provider of all of them; returns its token, and where the history ends then."""
    with open_store(url) as store:
        tokens = [
            store.register_source(source_name(number), "soak").access_token for number in range(plan.sources)
        ]
        registered = [store.register_provider(PROVIDER, each) for each in tokens]
        assert registered[0].access_token is not None
        return registered[0].access_token, store.last_position()


def _stop(world: World) -> None:
    for child in world.children.values():
        if child.was_started:
            child.stop(grace=0)


def _keep(log: Path, folder: Path) -> None:
    if log.exists():
        shutil.copy(log, folder)
    shutil.rmtree(log.parent, ignore_errors=True)
