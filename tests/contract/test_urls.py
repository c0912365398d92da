"""Valid and invalid URLs of a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.database.url import normalise_url


@pytest.mark.parametrize("scheme", ["postgresql", "POSTGRESQL", "Postgres", "postgresql+psycopg2"])
def test_ways_to_say_postgresql(scheme: str) -> None:
    url = normalise_url(f" {scheme}://ann:p%40ss@db:5432/registry\n")
    assert (url.drivername, url.host, url.password) == ("postgresql+psycopg2", "db", "p@ss")
    assert url.database == "registry"


@pytest.mark.parametrize("login", ["postgres:secret", "ann:postgres:secret"])
def test_a_login_that_looks_like_the_short_scheme_is_kept(login: str) -> None:
    url = normalise_url(f"postgresql://{login}@db/registry")
    assert f"{url.username}:{url.password}" == login


def test_a_mounted_secret_ends_with_a_line_break(tmp_path: Path) -> None:
    assert normalise_url(f"sqlite:///{tmp_path}/r.db\n").database == f"{tmp_path}/r.db"


def test_a_file_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_store("sqlite:///~/r.db") as store:
        assert store.list_sources().items == ()
    assert (tmp_path / "r.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://h/db",
        "postgresql://h:port/db",
        "postgresql://h/d\0b",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/x.db",
        "sqlite:////tmp/x.db?mode=ro",
        "sqlite:////no/such/folder/x.db",
        "sqlite:////tmp",
        "sqlite:/x.db",
        None,
        7,
    ],
)
def test_urls_that_are_not_a_registrys_are_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        open_store(url)


def test_part_of_a_password_is_not_taken_for_a_host() -> None:
    with pytest.raises(InvalidInputError, match="percent-encoded") as caught:
        open_store("postgresql://ann:se@cret@h/db")
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": "5"}, {"timeout": None}, {"pool_size": 0}])
def test_invalid_numbers_are_refused(tmp_path: Path, options: dict) -> None:
    with pytest.raises(InvalidInputError):
        open_store(f"sqlite:///{tmp_path}/r.db", **options)
