"""What callers register. The domain checks names and texts, and words the errors."""

from __future__ import annotations

from airflow_provider_partition_registry.store.wire.fields import (
    Body,
    Owner,
    ProviderName,
    ProviderToken,
    SourceName,
)


class NewSource(Body):
    """A source to register."""

    source_name: SourceName
    owner: Owner


class NewProvider(Body):
    """A provider to register; the bearer token is that of the source it shall write to."""

    provider_name: ProviderName
    provider_token: ProviderToken = None
