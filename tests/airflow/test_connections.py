"""From an Airflow connection, in all its forms, to a registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models.connection import Connection as FormConnection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection
from airflow.utils.strings import get_random_string

from airflow_provider_partition_registry.domain.errors import InvalidInputError, StoreUnavailableError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.runtime.settings import ConnectionSettings, how_to_configure
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.sql.database.url import normalise_url
from testbed.postgres import PostgresServer
from tests.airflow.registries import DAY, THE_DAY, Connect, publish

CONN_ID = "partition_registry_default"
STRANGE = "p@ss:w/rd?#%&[]é ü"


def settings(**fields: Any) -> ConnectionSettings:
    extra = fields.pop("extra", None)
    return ConnectionSettings.of_connection(
        Connection(
            conn_id=CONN_ID, conn_type="partition_registry", extra=extra and json.dumps(extra), **fields
        )
    )


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "db"}, "postgresql://db/"),
        ({"host": " db ", "schema": "registry"}, "postgresql://db/registry"),
        ({"host": "db", "port": 5433, "schema": "registry"}, "postgresql://db:5433/registry"),
        ({"host": "db", "port": 0, "schema": "registry"}, "postgresql://db/registry"),
        ({"host": "db:5433", "port": 1, "schema": "registry"}, "postgresql://db:5433/registry"),
        ({"host": "[::1]", "port": 5433, "schema": "registry"}, "postgresql://[::1]:5433/registry"),
        ({"host": "db", "login": "me", "schema": "registry"}, "postgresql://me@db/registry"),
        ({"host": "db", "login": "me", "password": "pw", "schema": "r"}, "postgresql://me:pw@db/r"),
        ({"host": "postgresql://me@db/r", "login": "you", "password": "pw"}, "postgresql://me:pw@db/r"),
        ({"host": "db", "password": "pw", "schema": "r"}, "postgresql://db/r"),
        ({"host": "postgresql://db/registry"}, "postgresql://db/registry"),
        ({"host": "postgresql://db", "port": 5433, "schema": "registry"}, "postgresql://db:5433/registry"),
        ({"host": "postgresql://db/", "schema": "registry"}, "postgresql://db/registry"),
        ({"host": "postgres://db/registry", "login": "me", "password": "pw"}, "postgres://me:pw@db/registry"),
        ({"host": "postgresql+psycopg2://db/registry"}, "postgresql+psycopg2://db/registry"),
        ({"host": "postgresql://db/r?connect_timeout=3"}, "postgresql://db/r?connect_timeout=3"),
        ({"host": "db", "schema": "r", "extra": {"sslmode": "require"}}, "postgresql://db/r?sslmode=require"),
        (
            {"host": "postgresql://db/r?connect_timeout=3", "extra": {"sslmode": "verify-full"}},
            "postgresql://db/r?connect_timeout=3&sslmode=verify-full",
        ),
        (
            {"host": "postgresql://db/r?sslmode=require", "extra": {"sslmode": "verify-full"}},
            "postgresql://db/r?sslmode=require",
        ),
        ({"host": "sqlite:////var/lib/registry.db"}, "sqlite:////var/lib/registry.db"),
        (
            {"host": "sqlite:////r.db", "login": "x", "port": 1, "extra": {"sslmode": "require"}},
            "sqlite:////r.db",
        ),
    ],
)
def test_the_connections_fields_make_the_registrys_url(fields: dict[str, Any], url: str) -> None:
    assert settings(**fields).url == url


def test_special_characters_survive() -> None:
    parsed = normalise_url(settings(host="db", login=STRANGE, password=STRANGE, schema="registry").url)
    assert (parsed.username, parsed.password, parsed.host, parsed.database) == (
        STRANGE,
        STRANGE,
        "db",
        "registry",
    )


def test_extra_fields() -> None:
    found = settings(host="db", extra={"provider": "loader", "instance": "eu", "timeout": "2.5"})
    assert (found.provider, found.instance, found.timeout) == ("loader", "eu", 2.5)


@pytest.mark.parametrize("empty", [None, ""])
def test_a_saved_form_writes_empty_fields(empty: str | None) -> None:
    found = settings(host="db", extra=dict.fromkeys(("provider", "instance", "timeout", "sslmode"), empty))
    assert found == ConnectionSettings("postgresql://db/")


def test_unsupported_extra_fields_are_refused() -> None:
    with pytest.raises(
        InvalidInputError, match=r"has ssl_mode, which is not supported; supported are .*sslmode"
    ):
        settings(host="db", extra={"ssl_mode": "verify-full", "instance": "eu"})


@pytest.mark.filterwarnings("ignore:Encountered .*JSON")  # Airflow 2's, which takes them
@pytest.mark.parametrize("extra", ["[1, 2]", "5", '"text"', "{'sslmode': 'verify-full'}"])
def test_an_extra_that_cannot_be_read_is_not_an_empty_one(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", as_json({"host": "db", "extra": extra}))
    is_well, message = PartitionRegistryHook().test_connection()
    assert not is_well
    assert "extra is not a JSON object" in message


@pytest.mark.parametrize("field", ["provider", "instance"])
@pytest.mark.parametrize("name", [5, ["loader"], "a\0b"])
def test_an_invalid_name_is_refused_before_tasks_use_it(field: str, name: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"connection's {field}"):
        settings(host="db", extra={field: name})


@pytest.mark.parametrize("host", ["postgresql://me:secret@db/r", "postgresql://me@db/r?password=secret"])
def test_a_password_in_the_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidInputError, match="Move it to the connection's password") as refused:
        settings(host=host)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("timeout", ["soon", 0, -1, "nan", 3601, [], {}])
def test_an_invalid_timeout_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidInputError, match="timeout must be a number of seconds"):
        settings(host="db", extra={"timeout": timeout})


def test_an_empty_connection_tells_how_to_fill_it(connect: Connect) -> None:
    connect("")
    with pytest.raises(InvalidInputError, match=f"'{CONN_ID}'.*host is empty.*postgresql://.*sqlite:////"):
        PartitionRegistryHook().get_conn()


@pytest.mark.parametrize("path", ["registry.db", "./registry.db", ":memory:", ""])
def test_a_relative_path_to_sqlite_is_refused(path: str) -> None:
    with pytest.raises(InvalidInputError, match="absolute path"):
        settings(host=f"sqlite:///{path}")


@pytest.mark.parametrize(
    "host", ["postgresql://[::1/registry", "db:port", "mysql://db/registry", "postgresql://db:x/r"]
)
def test_an_invalid_host_is_refused(host: str, connect: Connect) -> None:
    connect(host)
    is_well, message = PartitionRegistryHook().test_connection()
    assert not is_well
    assert "postgresql://" in message


def as_json(fields: dict[str, Any]) -> str:
    return json.dumps({"conn_type": "partition_registry"} | fields)


def as_uri(fields: dict[str, Any]) -> str:
    extra = fields.get("extra")
    return Connection(
        conn_id=CONN_ID, conn_type="partition_registry", **fields | {"extra": extra and json.dumps(extra)}
    ).get_uri()


@pytest.mark.parametrize("written", [as_json, as_uri])
@pytest.mark.parametrize(
    "fields",
    [
        {"host": "db.example.com", "port": 5433, "login": "me", "password": STRANGE, "schema": "registry"},
        {"host": "postgresql://db.example.com:5432/registry", "login": "me", "password": "pw"},
        {
            "host": "sqlite:////var/lib/Registry/the registry.db",
            "extra": {"provider": "loader", "timeout": 3},
        },
        {
            "host": "db",
            "extra": {"provider": "Loader", "instance": "eu", "timeout": "3", "sslmode": "require"},
        },
    ],
)
def test_connections_from_the_environment(
    written: Callable[..., str], fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", written(fields))
    assert PartitionRegistryHook().settings == settings(**fields)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        (
            "partition-registry://me:p%40ss@db:5433/registry?sslmode=require",
            "postgresql://me:p%40ss@db:5433/registry?sslmode=require",
        ),
        ("partition-registry://db/registry", "postgresql://db/registry"),
        (
            "partition-registry://sqlite%3A%2F%2F%2F%2Fvar%2FLib%2Fregistry.db",
            "sqlite:////var/Lib/registry.db",
        ),
    ],
)
def test_connections_as_people_write_them(uri: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", uri)
    assert PartitionRegistryHook().settings.url == url


def test_another_connection(connect: Connect) -> None:
    connect("elsewhere", conn_id="my_registry")
    assert PartitionRegistryHook("my_registry").settings.url == "postgresql://elsewhere/"
    assert (
        PartitionRegistryHook(partition_registry_conn_id="my_registry").settings.url
        == "postgresql://elsewhere/"
    )


@pytest.mark.usefixtures("airflow_home")
def test_a_missing_connection_tells_how_to_create_it() -> None:
    hook = PartitionRegistryHook("nowhere")
    with pytest.raises(AirflowNotFoundException) as raised:
        hook.get_conn()
    for part in ("'nowhere'", "Admin > Connections", 'AIRFLOW_CONN_NOWHERE=\'{"conn_type": ', "sqlite:///"):
        assert part in str(raised.value)
    assert hook.test_connection() == (False, str(raised.value))


@pytest.mark.usefixtures("airflow_home")
def test_the_advice_of_a_missing_connection_works(monkeypatch: pytest.MonkeyPatch) -> None:
    _, message = PartitionRegistryHook("nowhere").test_connection()
    monkeypatch.setenv(
        "AIRFLOW_CONN_NOWHERE", message.partition("AIRFLOW_CONN_NOWHERE='")[2].partition("'")[0]
    )
    settings = PartitionRegistryHook("nowhere").settings
    assert settings.url == "postgresql://user:password@db.example.com/registry"
    assert settings.instance == "my-airflow"


def test_the_advice_keeps_the_password_where_airflow_hides_it() -> None:
    advised = json.loads(how_to_configure("nowhere").partition("NOWHERE='")[2].partition("'")[0])
    assert advised["password"] not in advised["host"]


def test_the_hook_asks_the_registry(registry: RegistryStore) -> None:
    publish(registry)
    hook = PartitionRegistryHook()
    assert hook.check_readiness(**DAY).is_ready
    assert not hook.changed_since(**DAY, as_of=registry.last_position())
    assert hook.get_conn() is hook.store
    assert hook.get_conn().get_partition(PartitionKey("sales", "loader", THE_DAY)).generation == 1


def test_the_hook_asks_without_reasons(registry: RegistryStore) -> None:
    (answer,) = PartitionRegistryHook().check_readiness_many([Question("sales", THE_DAY)], explain=False)
    assert not answer.is_ready


def press_test_button(**fields: Any) -> tuple[bool, str]:
    """As Airflow does it for a form: under a name that it makes up."""
    made_up = get_random_string()
    extra = fields.pop("extra", {})
    form = FormConnection(
        conn_id=made_up, conn_type="partition_registry", extra=json.dumps(extra), **{"port": 0} | fields
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"AIRFLOW_CONN_{made_up.upper()}", form.get_uri())
        is_well, message = form.test_connection()
    assert made_up.upper() not in message.upper()
    assert "AIRFLOW_CONN" not in message
    return is_well, message


@pytest.mark.usefixtures("airflow_home")
class TestForm:
    def test_with_a_registry_without_sources(self, migrated_sqlite_url: str) -> None:
        assert press_test_button(host=migrated_sqlite_url) == (
            True,
            "The registry answers; it has no sources yet.",
        )

    def test_with_a_file_that_does_not_exist(self, tmp_path: Path) -> None:
        is_well, message = press_test_button(host=f"sqlite:///{tmp_path}/new.db")
        assert not is_well
        assert message.startswith(f"There is no file {tmp_path}/new.db on this host.")
        assert "the first write to the registry creates the file" in message
        assert list(tmp_path.iterdir()) == []

    def test_with_a_file_without_a_registry(self, tmp_path: Path) -> None:
        (tmp_path / "empty.db").touch()
        is_well, message = press_test_button(host=f"sqlite:///{tmp_path}/empty.db")
        assert not is_well
        assert "No partition registry in" in message

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"host": ""}, "host is empty"),
            ({"host": "sqlite:///new.db"}, "absolute path"),
            ({"host": "sqlite:////no/such/folder/new.db"}, "There is no folder /no/such/folder"),
            ({"host": "db", "extra": {"timeout": "soon"}}, "timeout must be a number of seconds"),
            ({"host": "127.0.0.1", "port": 1, "extra": {"timeout": "2"}}, "does not respond"),
        ],
    )
    def test_with_invalid_fields(self, fields: dict[str, Any], told: str) -> None:
        is_well, message = press_test_button(**fields)
        assert not is_well
        assert told in message


def test_the_test_button_with_a_registry(registry: RegistryStore) -> None:
    assert PartitionRegistryHook().test_connection() == (True, "The registry answers.")


@pytest.mark.postgres
def test_the_test_button_with_postgresql(postgres_registry: RegistryStore) -> None:
    assert PartitionRegistryHook().test_connection() == (True, "The registry answers.")


@pytest.mark.postgres
def test_the_test_button_with_port_zero(
    postgres: PostgresServer, postgres_url: str, connect: Connect
) -> None:
    connect(f"127.0.0.1:{postgres.port}", port=0, login="postgres", schema=postgres_url.rpartition("/")[2])
    assert PartitionRegistryHook().test_connection()[0]


@pytest.mark.postgres
def test_the_test_button_without_tables(new_postgres_url: Callable[..., str], connect: Connect) -> None:
    connect(new_postgres_url(None))
    is_well, message = PartitionRegistryHook().test_connection()
    assert not is_well
    assert "partition-registry db upgrade" in message


def test_the_test_button_while_the_server_is_down(connect: Connect) -> None:
    connect("127.0.0.1", port=1, login="me", password="geheim", schema="registry", extra={"timeout": 2})
    is_well, message = PartitionRegistryHook().test_connection()
    assert not is_well
    assert "127.0.0.1:1/registry" in message
    assert "geheim" not in message


class TestSecrets:
    @pytest.mark.parametrize(
        "fields",
        [
            {"host": "127.0.0.1", "port": 1, "login": "me", "password": "geheim&ss", "schema": "r"},
            {"host": "postgresql://me@127.0.0.1:1/r", "password": "geheim&ss"},
        ],
    )
    def test_no_password_where_people_look(
        self,
        fields: dict[str, Any],
        connect: Connect,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        masked: list[str] = []
        monkeypatch.setattr(
            "airflow_provider_partition_registry.runtime.connections.mask_secret", masked.append
        )
        connect(**fields)
        hook = PartitionRegistryHook()
        with pytest.raises(StoreUnavailableError) as raised:
            hook.get_conn().get_source("sales")
        seen = [str(raised.value), repr(raised.value), repr(hook.settings), str(hook.settings), caplog.text]
        for secret in ("geheim&ss", "geheim%26ss"):
            assert not [text for text in seen if secret in text]
        assert {"geheim&ss", "geheim%26ss"} <= set(masked)

    def test_tokens_are_masked(self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        masked: list[str] = []
        monkeypatch.setattr(
            "airflow_provider_partition_registry.hooks.partition_registry.mask_secret", masked.append
        )
        hook = PartitionRegistryHook()
        token = hook.register_source("new", "a-team").access_token
        of_provider = hook.register_provider("newcomer", token).access_token
        assert masked == [token, token, of_provider]
        masked.clear()
        further = registry.register_source("further", "a-team").access_token
        hook.register_provider("newcomer", further, provider_token=of_provider)
        assert masked == [further, of_provider]
        masked.clear()
        rotated = hook.rotate_token(Principal(PrincipalKind.PROVIDER, "newcomer")).access_token
        assert masked == [rotated]
