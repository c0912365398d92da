"""Every command that a document shows is run by a test; the tests are listed here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import DOCS, PROJECT

DOCUMENTS = [
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
    *PROJECT.glob("*/README.md"),
]
HOW_TO = "tests/cli/test_how_to.py"
MOVING = "tests/cli/test_moving.py"
DAGS = "tests/airflow/test_how_to.py"
RUN_BY = {
    ("README.md", "bash"): "tests/cli/test_readme.py",
    ("README.md", "python"): "tests/airflow/test_readme.py",
    ("docs/tutorial.md", "bash"): "tests/cli/test_tutorial.py",
    ("docs/tutorial.md", "console"): "tests/cli/test_tutorial.py",
    ("docs/tutorial.md", "text"): "tests/cli/test_tutorial.py",
    ("docs/tutorial.md", "python"): DAGS,
    ("docs/how-to/backfill.md", "bash"): HOW_TO,
    ("docs/how-to/backfill.md", "console"): DAGS,
    ("docs/how-to/backfill.md", "python"): DAGS,
    ("docs/how-to/backup-and-restore.md", "bash"): "tests/cli/test_backup_page.py",
    ("docs/how-to/be-told.md", "python"): DAGS,
    ("docs/how-to/be-told.md", "text"): DAGS,
    ("docs/how-to/cleared-task.md", "bash"): HOW_TO,
    ("docs/how-to/cleared-task.md", "python"): DAGS,
    ("docs/how-to/conditions.md", "bash"): HOW_TO,
    ("docs/how-to/conditions.md", "python"): DAGS,
    ("docs/how-to/containers.md", "bash"): "tests/package/test_image.py",
    ("docs/how-to/cron.md", "bash"): HOW_TO,
    ("docs/how-to/cron.md", "cron"): HOW_TO,
    ("docs/how-to/curl.md", "bash"): "tests/service/test_http_api_page.py",
    ("docs/how-to/curl.md", "console"): "tests/service/test_http_api_page.py",
    ("docs/how-to/failed-day.md", "bash"): HOW_TO,
    ("docs/how-to/from-the-original.md", "bash"): MOVING,
    ("docs/how-to/from-the-original.md", "python"): MOVING,
    ("docs/how-to/hourly-into-daily.md", "bash"): HOW_TO,
    ("docs/how-to/hourly-into-daily.md", "python"): DAGS,
    ("docs/how-to/keep-the-history-short.md", "bash"): "tests/cli/test_prune.py",
    ("docs/how-to/keep-the-history-short.md", "ini"): "tests/service/test_pruning.py",
    ("docs/how-to/kubernetes.md", "yaml"): HOW_TO,
    ("docs/how-to/lineage.md", "bash"): HOW_TO,
    ("docs/how-to/lineage.md", "json"): "tests/airflow/test_openlineage.py",
    ("docs/how-to/lineage.md", "python"): DAGS,
    ("docs/how-to/read.md", "python"): DAGS,
    ("docs/how-to/read.md", "text"): DAGS,
    ("docs/how-to/rotate-a-token.md", "bash"): HOW_TO,
    ("docs/how-to/runs-without-sensors.md", "bash"): "tests/system/test_event_runs.py",
    ("docs/how-to/runs-without-sensors.md", "python"): DAGS,
    ("docs/how-to/scripts.md", "bash"): HOW_TO,
    ("docs/how-to/several-instances.md", "nginx"): "testbed/balancing.py",
    ("docs/how-to/several-sources.md", "bash"): HOW_TO,
    ("docs/how-to/several-sources.md", "python"): DAGS,
    ("docs/how-to/sqlite-to-postgresql.md", "bash"): MOVING,
    ("docs/how-to/sqlite-to-postgresql.md", "python"): MOVING,
    ("docs/how-to/standby.md", "bash"): "tests/service/test_standby.py",
    ("docs/how-to/standby.md", "python"): "tests/service/test_standby.py",
    ("docs/how-to/tls.md", "nginx"): "tests/service/test_behind_nginx.py",
    ("docs/how-to/two-writers.md", "bash"): HOW_TO,
    ("docs/how-to/two-writers.md", "python"): DAGS,
    ("docs/how-to/upgrade.md", "bash"): HOW_TO,
    ("docs/how-to/write.md", "python"): DAGS,
    ("docs/reference/python.md", "python"): "tests/cli/test_tutorial.py",
    ("docs/reference/settings.md", "ini"): "tests/airflow/test_readme.py",
}
"""The test that runs the blocks of a language in a document."""
OF_THE_SITE = {"toctree", "eval-rst"}
"""Names that look like languages, but are directives of the site's builder."""


def test_no_block_is_left_out() -> None:
    shown = {
        (str(document.relative_to(PROJECT)), language)
        for document in DOCUMENTS
        for language in re.findall(r"^ *```\{?([\w-]+)\}?$", document.read_text(), flags=re.MULTILINE)
        if language not in OF_THE_SITE
    }
    assert shown == RUN_BY.keys()


@pytest.mark.parametrize(("document", "test"), sorted({(name, test) for (name, _), test in RUN_BY.items()}))
def test_who_runs_them_reads_them(document: str, test: str) -> None:
    text = (PROJECT / test).read_text()
    is_one_of_all = test == DAGS and 'DOCS.glob("how-to/*.md")' in text
    assert is_one_of_all or re.search(rf'"{Path(document).stem}(\.md)?"', text)


def test_what_make_is_told_to_do_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))
    for document in DOCUMENTS:
        told = set(re.findall(r"(?:`|^(?=.*#))make ([a-z]+)", document.read_text(), flags=re.MULTILINE))
        assert told <= targets, document


def test_modules_that_a_document_names_are_there() -> None:
    package = PROJECT / "airflow_provider_partition_registry"
    for document in DOCUMENTS:
        named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", document.read_text()))
        lost = {name for name in named if not (PROJECT / name).is_file() and not (package / name).is_file()}
        assert not lost, document
