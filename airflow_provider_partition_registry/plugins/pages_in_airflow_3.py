"""The pages as an application that Airflow 3's API server mounts. Imported in no other process."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.core_api.security import requires_access_asset

from airflow_provider_partition_registry.pages.embedding import EmbeddedPages
from airflow_provider_partition_registry.plugins.shown_registries import AT_ONCE, ConnectedRegistries
from airflow_provider_partition_registry.runtime.addresses import PAGES
from airflow_provider_partition_registry.server.embedding import create_app


def fastapi_apps() -> list[dict[str, Any]]:
    """The application, for whoever may look at assets."""
    app = create_app(
        EmbeddedPages(ConnectedRegistries()),
        requires_access_asset(method="GET"),
        prefix=PAGES,
        sign_in="/api/v2/auth/login",
        threads=AT_ONCE,
    )
    return [{"app": app, "url_prefix": PAGES, "name": "Partition Registry"}]
