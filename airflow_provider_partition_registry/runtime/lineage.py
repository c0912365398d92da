"""What OpenLineage, and Airflow's hook lineage, are told about the data that a task has written or read.

OpenLineage is imported only when it asks; it need not be installed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.domain.uris import ASSET_SCHEME, asset_uri

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset

MOST_INTERVALS = 100
"""An event lists no more of them: a lock may be on 10,000 partitions."""

# What databases are called in OpenLineage, whose names of tables have dots, and their usual ports, which it adds.
_DATABASES = {
    "postgres": ("postgres", 5432),
    "postgresql": ("postgres", 5432),
    "mysql": ("mysql", 3306),
    "mssql": ("mssql", None),
    "oracle": ("oracle", None),
    "redshift": ("redshift", None),
    "snowflake": ("snowflake", None),
    "trino": ("trino", None),
}

Named = tuple[str, str]
"""A dataset's namespace and name."""
Told = dict[str, Any]

log = logging.getLogger(__name__)


def lineage_of_writing(hook: Any, partitions: Sequence[Partition]) -> OperatorLineage:
    """The partitions that a task has locked or published, as its output.

    :param partitions: of one source; none if the task has written nothing.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    if not partitions:
        return OperatorLineage()
    source_name = partitions[0].source_name
    uri = hook.store.get_source(source_name).uri
    return OperatorLineage(outputs=[dataset_of(source_name, uri, told_of(partitions))])


def lineage_of_reading(hook: Any, results: Iterable[Mapping[str, Any]]) -> OperatorLineage:
    """The answers by which a wait ended, as the task's input: one for each source and interval.

    :param results: as the sensor's result holds them.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    inputs: dict[str, list[Mapping[str, Any]]] = {}
    for each in results:
        inputs.setdefault(each["source_name"], []).append(each)
    return OperatorLineage(
        inputs=[
            dataset_of(source_name, hook.store.get_source(source_name).uri, _told_of_reading(answers))
            for source_name, answers in inputs.items()
        ]
    )


def report_writing(hook: Any, partition: Partition) -> None:
    """Tell Airflow's hook lineage of a partition that the code of a task has published.

    Nothing that goes wrong here may fail the task, whose data can be read already.

    :param hook: the :class:`~..hooks.partition_registry.PartitionRegistryHook`, whom the converter asks for the uri.
    """
    try:
        from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

        get_hook_lineage_collector().add_output_asset(
            context=hook, uri=asset_uri(partition.source_name), asset_extra=told_of([partition])
        )
    except Exception as error:
        log.warning("Airflow's lineage could not be told of %s. %s", partition.key, error)


def told_of(partitions: Sequence[Partition]) -> Told:
    """What the facet says about written partitions, as JSON."""
    intervals = [
        {
            "start": format_instant(each.start),
            "end": format_instant(each.end),
            "provider": each.provider_name,
            "generation": each.generation,
        }
        for each in partitions[:MOST_INTERVALS]
    ]
    return {"intervals": intervals, "intervalCount": len(partitions)}


def _told_of_reading(answers: Sequence[Mapping[str, Any]]) -> Told:
    intervals = [{"start": each["start"], "end": each["end"]} for each in answers[:MOST_INTERVALS]]
    # Answers of one wait are as of one moment (R2).
    return {"intervals": intervals, "intervalCount": len(answers), "asOf": answers[0]["as_of"]}


def dataset_of(source_name: str, uri: str | None, told: Mapping[str, Any]) -> Dataset:
    """A source's data as OpenLineage's dataset: under its real address if that is known, else under the source's name.

    Under its address it also carries the source's name, so that events from before the address was known lead to it.

    :param told: what the facet says besides the source.
    """
    from openlineage.client.event_v2 import Dataset
    from openlineage.client.facet_v2 import symlinks_dataset

    from airflow_provider_partition_registry.runtime.facets import FACET, PartitionRegistryDatasetFacet

    facets: Told = {FACET: PartitionRegistryDatasetFacet(source=source_name, **told)}
    if uri is None:
        return Dataset(namespace=ASSET_SCHEME, name=source_name, facets=facets)
    namespace, name = dataset_at(uri)
    same = symlinks_dataset.Identifier(namespace=ASSET_SCHEME, name=source_name, type="PARTITION_REGISTRY")
    facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(identifiers=[same])
    return Dataset(namespace=namespace, name=name, facets=facets)


def dataset_at(uri: str) -> Named:
    """The name of the dataset at an address, by OpenLineage's naming, which other producers keep as well.

    Not by the converters of Airflow's providers: which of them are installed differs from instance to instance.
    """
    parts = urlsplit(uri)
    place = unquote(parts.path).strip("/")
    if parts.scheme in _DATABASES:
        scheme, port = _DATABASES[parts.scheme]
        return f"{scheme}://{_with_port(parts, port)}", place.replace("/", ".")
    if parts.scheme == "bigquery":
        return "bigquery", f"{parts.netloc}/{place}".rstrip("/").replace("/", ".")
    if parts.scheme == "file":
        return f"file://{parts.netloc}" if parts.netloc else "file", f"/{place}"
    return f"{parts.scheme}://{parts.netloc}", place or "/"


def _with_port(parts: SplitResult, port: int | None) -> str:
    return parts.netloc if parts.port or port is None else f"{parts.netloc}:{port}"
