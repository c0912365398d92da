"""The table of the rows, in the documentation."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from testbed.matrix.rows import ROWS, Row

PAGE = Path(__file__).parents[2] / "docs" / "support.md"
BEGIN = "<!-- The lines down to the end of the table are written by `make matrix`. -->\n"
END = "<!-- The end of the table. -->\n"
HEAD = (
    "| row | Airflow | Python | packages | common-compat | run on | result |\n|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Outcome:
    """The result of a row.

    :param common_compat: the version of it that was installed, if any
    :param result: in words
    :param is_ours: whether our package failed
    """

    row: Row
    common_compat: str | None
    result: str
    is_ours: bool = False

    def __str__(self) -> str:
        cells = (
            f"`{self.row.name}`",
            self.row.airflow or "none",
            self.row.python,
            self.row.packages,
            self.common_compat or "-",
            str(datetime.datetime.now(datetime.UTC).date()),
            self.result,
        )
        return f"| {' | '.join(cells)} |\n"


def renew(outcomes: list[Outcome]) -> None:
    """Put new results into the page's table, and leave the other rows as they are."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    table, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} does not say where its table begins and ends")
    lines = {line.split("`")[1]: line for line in table.splitlines(keepends=True) if line.startswith("| `")}
    lines |= {each.row.name: str(each) for each in outcomes}
    known = [lines[row.name] for row in ROWS if row.name in lines]
    PAGE.write_text(before + begin + HEAD + "".join(known) + end + after)
