"""The page of supported versions lists what the matrix runs, and the results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.matrix.rows import ITS_TIME, RELEASED, ROWS

BY_NAME = {row.name: row for row in ROWS}
PAGE = (Path(__file__).parents[2] / "docs" / "support.md").read_text()


def test_the_table_has_every_row_as_it_is_now() -> None:
    lines = dict(re.findall(r"^\| `([\w.-]+)` (\|.*\|)$", PAGE, flags=re.MULTILINE))
    assert lines.keys() == BY_NAME.keys()
    for name, line in lines.items():
        row = BY_NAME[name]
        assert line.startswith(f"| {row.airflow or 'none'} | {row.python} | {row.packages} |")
        assert "**fails**" not in line


@pytest.mark.parametrize("version", RELEASED)
def test_the_date_to_install_as_of_is_the_one_that_was_run(version: str) -> None:
    minor = version.rpartition(".")[0]
    assert f"| {minor} | `constraints-{version}` | {RELEASED[version] + ITS_TIME} |" in PAGE
