"""The rows: which Airflow, on which Python, with the packages of which day."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

# The newest patch of every supported minor version, and the day it was released.
RELEASED = {
    "2.11.2": datetime.date(2026, 3, 14),
    "3.0.6": datetime.date(2025, 8, 29),
    "3.1.8": datetime.date(2026, 3, 11),
    "3.2.2": datetime.date(2026, 5, 29),
    "3.3.2": datetime.date(2026, 9, 17),
}

# Whoever installs a release in its first week gets the packages with which it was tested.
ITS_TIME = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Row:
    """One installation.

    :param name: its name on the command line
    :param airflow: the version of Airflow; None for the command line and the web service, which need none
    :param as_of: packages released later are not considered; None for all that exist today
    :param lowest: install the lowest allowed versions of our own dependencies
    :param needed: what this Airflow needs although it allows older versions
    """

    name: str
    python: str
    airflow: str | None
    as_of: datetime.date | None = None
    lowest: bool = False
    needed: tuple[str, ...] = ()

    @property
    def packages(self) -> str:
        """Which packages, in the words of the table."""
        if self.lowest:
            return "the lowest we allow"
        return "today's" if self.as_of is None else f"of {self.as_of}"


def _of_its_time(python: str, airflow: str) -> Row:
    return Row(_minor(airflow), python, airflow, RELEASED[airflow] + ITS_TIME)


def _today(python: str, airflow: str) -> Row:
    return Row(f"{_minor(airflow)}-today", python, airflow)


def _lowest(python: str, airflow: str, *needed: str) -> Row:
    as_of = RELEASED[airflow] + ITS_TIME
    return Row(f"{_minor(airflow)}-lowest", python, airflow, as_of, lowest=True, needed=needed)


def _minor(version: str) -> str:
    return version.rpartition(".")[0]


# Every Airflow once with the packages of its time and once with today's, every Python at least three times.
ROWS = (
    _of_its_time("3.11", "2.11.2"),
    _today("3.12", "2.11.2"),
    _lowest("3.11", "2.11.2"),
    _of_its_time("3.11", "3.0.6"),
    _today("3.12", "3.0.6"),
    _of_its_time("3.12", "3.1.8"),
    _today("3.13", "3.1.8"),
    _of_its_time("3.13", "3.2.2"),
    _today("3.11", "3.2.2"),
    _of_its_time("3.13", "3.3.2"),
    _today("3.12", "3.3.2"),
    _lowest("3.11", "3.3.2", "pydantic>=2.12"),
    Row("core-lowest", "3.11", None, lowest=True),
    Row("core-today", "3.13", None),
)
