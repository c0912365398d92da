"""The facet of ours in OpenLineage's events. It is imported only once an event is made, as it imports OpenLineage."""

from __future__ import annotations

from typing import Any

import attr
from openlineage.client.facet_v2 import DatasetFacet

FACET = "partitionRegistry"


@attr.define(kw_only=True)
class PartitionRegistryDatasetFacet(DatasetFacet):
    """Which part of a dataset a run has written or read.

    :param source: the source's name in the registry.
    :param intervals: half-open, in UTC, as ``start`` and ``end``; if they were written also the ``provider`` and the
        ``generation`` of the lock.
    :param intervalCount: how many there are; not all of very many are listed.
    :param asOf: the position in the history at which they were ready, if they were read.
    """

    source: str
    intervals: list[dict[str, Any]] | None = None
    intervalCount: int | None = None  # noqa: N815 - as facets are written
    asOf: int | None = None  # noqa: N815
