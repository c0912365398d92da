"""The user's options, each with an environment variable or a default."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = PROJECT / ".venvs"
SERVICE_URL = re.compile(r"http://127\.0\.0\.1:\d{1,5}/?")
NO = {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Options:
    """One run of the demo.

    :param registry_url: of a PostgreSQL for the registry, or at which a web service for it is to be started; None for
        a SQLite file in the run's folder
    :param database_url: of a PostgreSQL behind that web service; None for a SQLite file in the run's folder
    :param keep: leave both web pages running after the verdict
    :param airflow_2_bin: ``bin`` folder of the environment with Airflow 2.11
    :param airflow_3_bin: ``bin`` folder of the environment with Airflow 3
    :param folder: in which every run gets a folder of its own
    """

    registry_url: str | None
    database_url: str | None
    keep: bool
    airflow_2_bin: Path
    airflow_3_bin: Path
    folder: Path

    @property
    def is_served(self) -> bool:
        """Whether the registry is reached through a web service."""
        return bool(self.registry_url and self.registry_url.startswith(("http://", "https://")))

    @property
    def service_port(self) -> int | None:
        """The port for that web service; None for a free port."""
        return urlsplit(self.registry_url or "").port or None


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line, and the environment for what it leaves open."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Two real Airflow instances, 2.11 and 3.3, hand data over through one registry.",
    )
    parser.add_argument(
        "--registry-url",
        metavar="URL",
        default=os.environ.get("REGISTRY_URL") or None,
        help="keep the registry in this PostgreSQL, postgresql://user:password@host:5432/database, where what the demo "
        "registers stays, or reach it through a web service that is started here, http://127.0.0.1:5498 (port 0: a "
        "free one) [REGISTRY_URL; default: a SQLite file of this run]",
    )
    parser.add_argument(
        "--database-url",
        metavar="URL",
        default=os.environ.get("REGISTRY_DATABASE_URL") or None,
        help="with a web service: the PostgreSQL behind it [REGISTRY_DATABASE_URL; default: a SQLite file of this run]",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        default=os.environ.get("KEEP", "").lower() not in NO,
        help="leave both web pages running until Ctrl-C [KEEP=1]",
    )
    for version in (2, 3):
        parser.add_argument(
            f"--airflow-{version}-bin",
            metavar="FOLDER",
            type=Path,
            default=ENVIRONMENTS / f"airflow-{version}" / "bin",
            help=f"of the environment with Airflow {version} [default: .venvs/airflow-{version}/bin]",
        )
    parser.add_argument(
        "--folder",
        type=Path,
        default=PROJECT / ".demo",
        help="where each run keeps its logs, in a folder named after its time [default: .demo]",
    )
    options = Options(**vars(parser.parse_args(arguments)))
    if options.database_url and not options.is_served:
        parser.error(
            "--database-url is what a web service serves: give --registry-url http://127.0.0.1:0 as well"
        )
    if options.is_served and not SERVICE_URL.fullmatch(options.registry_url or ""):
        parser.error(
            "the demo starts its web service itself, on this machine: http://127.0.0.1:5498, or port 0"
        )
    return options
