"""Other versions of the package beside this one: former ones, and one that is to come.

Each is a folder with the package in it, run in this environment: by its command, as a service, and by
``client_of_any_version.py``. Former ones are kept in an archive, as a clone need not have all of the history; run as a
script, this makes it anew from the history: ``python -m testbed.versions``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_partition_registry.store.sql.schema import revisions
from testbed.processes import Child, TestbedError

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "airflow_provider_partition_registry"
CLIENT = Path(__file__).parent / "client_of_any_version.py"

ARCHIVE = Path(__file__).parent / "former_versions.tar.xz"
FORMER = {
    "0004": "34d8b8d204b2b058ec8bf3b8280ec0af79505951",
    "0005": "7543e9d3fa266e3a900058ec4b41ac8505c2ca49",
    "0006": "c57264cc5ccf970ba71432be656e6160be398959",
    "0009": "0171c29193955c44f35e12cf66a3f462e84b3a41",
}
"""By the schema that they were made for, the last commits before the next schema."""

NEXT = f"9999_since_{revisions.HEAD[:4]}"
"""The schema of :func:`next_version`."""
_NEXT_MIGRATION = f'''
import sqlalchemy as sa
from alembic import op

from {PACKAGE}.store.sql.schema.table_locks import lock_tables

revision, down_revision = "{NEXT}", "{revisions.HEAD}"

def upgrade():
    tables = [f"partition_registry_{{name}}" for name in ("source", "partition", "event", "history")]
    lock_tables(op.get_bind(), *tables)
    for table in tables:
        op.add_column(table, sa.Column("note", sa.Text))
        op.add_column(table, sa.Column("weight", sa.BigInteger, nullable=False, server_default="1"))
    op.create_table("partition_registry_note", sa.Column("id", sa.BigInteger, primary_key=True))
'''


@dataclass(frozen=True)
class Version:
    """One version of the package.

    :param folder: the package's parent.
    """

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What has Python import this version, wherever it starts."""
        return {"PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1"}

    def command(self, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``partition-registry`` on a registry, and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", f"{PACKAGE}.cli", *arguments],
            env={**os.environ, **self.variables, "PARTITION_REGISTRY_URL": url},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def client(self, url: str, role: str, name: str, log: Path) -> Client:
        """Start a client of this version, see ``client_of_any_version.py``."""
        started = Client(
            f"the {role} {name}",
            [sys.executable, CLIENT, url, role, name],
            log,
            environment={**os.environ, **self.variables},
        )
        started.start()
        return started


class Client(Child):
    """A client at work, and what it has told so far."""

    def told(self) -> list[dict[str, Any]]:
        """All lines that are complete.

        :raises TestbedError: one is none of its own, but an error's.
        """
        *lines, _incomplete = self.log.read_text().split("\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            raise TestbedError(f"{self.name} has failed\n{self.log_tail()}") from None


def this_version() -> Version:
    """The package as it is here."""
    return Version(REPOSITORY)


def former_version(schema: str, folder: Path) -> Version:
    """The last version that was made for a schema, unpacked into a folder."""
    with tarfile.open(ARCHIVE) as archive:
        members = [each for each in archive.getmembers() if each.name.startswith(f"{schema}/")]
        archive.extractall(folder, members, filter="data")
    return Version(folder / schema)


def next_version(folder: Path) -> Version:
    """This version with one more migration, whose schema serves this version as well."""
    shutil.copytree(REPOSITORY / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    schema = folder / PACKAGE / "store" / "sql" / "schema"
    (schema / "migrations" / "versions" / f"{NEXT}.py").write_text(_NEXT_MIGRATION)
    source = schema / "revisions.py"
    text = source.read_text()
    changed = text.replace(
        "\nHEAD = REVISIONS[-1]", f'\nREVISIONS = (*REVISIONS, "{NEXT}")\nHEAD = REVISIONS[-1]'
    )
    if changed == text:
        raise TestbedError(f"{source} does not say what its last revision is as it used to")
    source.write_text(changed)
    return Version(folder)


def _make_archive() -> None:
    with tarfile.open(ARCHIVE, "w:xz") as archive:
        for schema, commit in FORMER.items():
            command = ["git", "-C", str(REPOSITORY), "archive", f"--prefix={schema}/", commit, PACKAGE]
            git = subprocess.run(command, capture_output=True, check=True)
            with tarfile.open(fileobj=io.BytesIO(git.stdout)) as version:
                for each in version:
                    archive.addfile(each, version.extractfile(each) if each.isfile() else None)


if __name__ == "__main__":
    _make_archive()
