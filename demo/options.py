"""What the user says: options, each with an environment variable or a default."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = PROJECT / ".venvs"
NO = {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Options:
    """One run of the demo.

    :param registry_url: of a PostgreSQL for the registry; None for a SQLite file in the run's folder
    :param keep: leave both web pages running after the verdict
    :param airflow_2_bin: ``bin`` folder of the environment with Airflow 2.11
    :param airflow_3_bin: ``bin`` folder of the environment with Airflow 3
    :param folder: under which every run gets a folder of its own
    """

    registry_url: str | None
    keep: bool
    airflow_2_bin: Path
    airflow_3_bin: Path
    folder: Path


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line, then the environment."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Two real Airflow instances, 2.11 and 3.3, hand data over through one registry.",
    )
    parser.add_argument(
        "--registry-url",
        metavar="URL",
        default=os.environ.get("REGISTRY_URL") or None,
        help="keep the registry in this PostgreSQL, postgresql://user:password@host:5432/database"
        "; what the demo registers stays there [REGISTRY_URL; default: a SQLite file of this run]",
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
    return Options(**vars(parser.parse_args(arguments)))
