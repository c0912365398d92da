"""The assets that the sources of a registry are to Airflow: ``partition-registry://shop.sales``.

Airflow imports this whenever a DAG file makes an asset, so it imports nothing that takes time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from airflow_provider_partition_registry.domain.uris import asset_uri, source_of_asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset
    from openlineage.client.event_v2 import Dataset

log = logging.getLogger(__name__)


def source_asset(source_name: str, **kwargs: Any) -> Asset:
    """The asset that a source is to Airflow, for ``inlets``, ``outlets`` and ``schedule``; on Airflow 2.11 a dataset.

    Its URI is ``partition-registry://`` and the source's name, percent-encoded; on Airflow 3 the source's name is also
    its name. In an Airflow 3 one URI must have one name, so make the asset of a source only in this way.

    An inlet creates no events. An outlet does whenever its task succeeds, whatever that has published.

    :param source_name: the source; no template.
    :param kwargs: arguments of Airflow's own ``Asset``, such as ``extra`` or ``watchers``.
    :raises InvalidNameError: no source can have this name.
    """
    from airflow_provider_partition_registry.runtime.compat import IS_AIRFLOW_3, Asset

    named: dict[str, Any] = {"name": source_name} if IS_AIRFLOW_3 else {}
    asset: Asset = Asset(uri=asset_uri(source_name), **named, **kwargs)
    return asset


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Airflow's handler of our URIs: there is one way to write each.

    :raises InvalidInputError: it names no source.
    """
    return urlsplit(asset_uri(source_of_asset(urlunsplit(uri))))


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset | None:
    """Airflow's converter of our assets. If a hook of ours reported it, the registry says where the data really is.

    Elsewhere only the asset's own ``extra`` may say it, as ``uri``: an asset knows no connection.

    :param lineage_context: who reported the asset; None if it is an inlet or outlet.
    :return: None if the registry could not be asked: a name that is used for once would split the lineage.
    """
    from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
    from airflow_provider_partition_registry.runtime.lineage import dataset_of

    told: dict[str, Any] = dict(asset.extra or {})
    source_name, uri = source_of_asset(asset.uri), told.get("uri")
    if isinstance(lineage_context, PartitionRegistryHook):
        try:
            uri = lineage_context.store.get_source(source_name).uri
        except Exception as error:
            log.warning("OpenLineage is not told of source %r. %s", source_name, error)
            return None
    known = ("intervals", "intervalCount", "asOf")
    return dataset_of(source_name, uri, {name: told[name] for name in known if name in told})
