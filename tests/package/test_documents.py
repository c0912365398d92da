"""Every command that a document shows is run by a test, which is found here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]
RUN_BY = {
    ("README.md", "bash"): "tests/cli/test_readme.py",
    ("README.md", "python"): "tests/airflow/test_readme.py",
    ("docs/backup-and-restore.md", "bash"): "tests/cli/test_backup_page.py",
    ("docs/containers.md", "bash"): "tests/package/test_image.py",
    ("docs/cron-and-kubernetes.md", "bash"): "tests/cli/test_how_to.py",
    ("docs/cron-and-kubernetes.md", "cron"): "tests/cli/test_how_to.py",
    ("docs/cron-and-kubernetes.md", "yaml"): "tests/cli/test_how_to.py",
    ("docs/http-api.md", "bash"): "tests/service/test_http_api_page.py",
    ("docs/http-api.md", "console"): "tests/service/test_http_api_page.py",
    ("docs/http-api.md", "nginx"): "tests/service/test_behind_nginx.py",
}
"""Who runs the blocks of a language in a document."""


def test_no_block_is_left_out() -> None:
    shown = {
        (str(document.relative_to(ROOT)), language)
        for document in DOCUMENTS
        for language in re.findall(r"^```(\w+)$", document.read_text(), flags=re.MULTILINE)
    }
    assert shown == RUN_BY.keys()


@pytest.mark.parametrize(("document", "test"), sorted({(name, test) for (name, _), test in RUN_BY.items()}))
def test_who_runs_them_reads_them(document: str, test: str) -> None:
    assert f'"{Path(document).name}"' in (ROOT / test).read_text()


def test_what_make_is_told_to_do_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for document in DOCUMENTS:
        told = set(re.findall(r"(?:`|^(?=.*#))make ([a-z]+)", document.read_text(), flags=re.MULTILINE))
        assert told <= targets, document


def test_modules_that_a_document_names_are_there() -> None:
    package = ROOT / "airflow_provider_partition_registry"
    for document in DOCUMENTS:
        named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", document.read_text()))
        lost = {name for name in named if not (ROOT / name).is_file() and not (package / name).is_file()}
        assert not lost, document
