"""The DAGs in the README are whole: they can be copied and parse as they stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"


def test_its_dags_parse_without_warnings(tmp_path: Path, load_dags: Callable[[Path], Any]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    whole = [block for block in blocks if "with DAG(" in block]
    for number, block in enumerate(whole):
        (tmp_path / f"readme_{number}.py").write_text(block)

    dag_bag = load_dags(tmp_path)

    assert dag_bag.import_errors == {}
    assert dag_bag.captured_warnings == {}
    assert sorted(dag_bag.dags) == ["example_consumer", "example_producer"]
    assert [task.task_id for task in dag_bag.dags["example_producer"].topological_sort()] == [
        *("lock", "load", "unlock"),
    ]
