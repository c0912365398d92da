"""What this Airflow shows of a connection: in its form, its logs and its REST API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import airflow.providers_manager
import pytest

from tests.airflow.versions import IS_AIRFLOW_3


@pytest.fixture
def hook_info() -> Any:
    """What Airflow knows about our hook."""
    return _providers().hooks["partition_registry"]


@pytest.fixture
def uri_resources() -> tuple[dict[str, Any], ...]:
    """What Airflow has for assets' URIs, by their schemes: handlers, factories, and converters for OpenLineage."""
    kind = "asset" if IS_AIRFLOW_3 else "dataset"
    names = ("uri_handlers", "factories", "to_openlineage_converters")
    return tuple(getattr(_providers(), f"{kind}_{name}") for name in names)


def _providers() -> Any:
    if IS_AIRFLOW_3:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as ProvidersManager
    else:
        from airflow.providers_manager import ProvidersManager
    return ProvidersManager()


@pytest.fixture
def connection_form() -> dict[str, Any]:
    """The form of our connection type: its name, and each field's label and placeholder."""
    return _form_of_3() if IS_AIRFLOW_3 else _form_of_2()


def _form_of_3() -> dict[str, Any]:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = [
        each for each in HookMetaService.hook_meta_data() if each.connection_type == "partition_registry"
    ]
    standard = {name: field for name, field in form.standard_fields.model_dump().items() if field}
    return {
        "name": form.hook_name,
        "labels": {name: field["title"] for name, field in standard.items() if field["title"]},
        "placeholders": {
            name: field["placeholder"] for name, field in standard.items() if field["placeholder"]
        },
        "hidden": [name for name, field in standard.items() if field["hidden"]],
        "extra": {
            name: (field["schema"]["title"], field["description"])
            for name, field in (form.extra_fields or {}).items()
        },
    }


def _form_of_2() -> dict[str, Any]:
    manager = airflow.providers_manager.ProvidersManager()
    behaviour = manager.field_behaviours["partition_registry"]
    widgets = [
        each
        for key, each in manager.connection_form_widgets.items()
        if key.startswith("extra__partition_registry__")
    ]
    schema_is_called = {"schema": "url_schema"}  # in the form of Airflow 3
    return {
        "name": manager.hooks["partition_registry"].hook_name,
        "labels": {
            schema_is_called.get(name, name): label for name, label in behaviour["relabeling"].items()
        },
        "placeholders": {
            schema_is_called.get(name, name): text for name, text in behaviour["placeholders"].items()
        },
        "hidden": behaviour["hidden_fields"],
        "extra": {
            each.field_name: (each.field.args[0], each.field.kwargs["description"]) for each in widgets
        },
    }


@pytest.fixture
def redact() -> Callable[[str], str]:
    """Masks a text as this Airflow's logs do."""
    if IS_AIRFLOW_3:
        from airflow.sdk.log import redact
    else:
        from airflow.utils.log.secrets_masker import redact
    return redact


@pytest.fixture
def shown_by_rest_api() -> Callable[[Any], dict[str, Any]]:
    """Shows a stored connection as this Airflow's REST API does."""
    if IS_AIRFLOW_3:
        from airflow.api_fastapi.core_api.datamodels.connections import ConnectionResponse

        return lambda connection: ConnectionResponse.model_validate(connection).model_dump()
    from airflow.api_connexion.schemas.connection_schema import connection_schema

    return connection_schema.dump
