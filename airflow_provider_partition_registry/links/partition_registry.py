"""The link from a task to the registry's timeline, there from the moment at which the task knows its interval.

Airflow asks for the link of a task when that has ended, so a task that waits has none unless it stores it before.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.runtime.compat import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.intervals import Interval

LINK = "_link_PartitionRegistryLink"
"""The XCom in which Airflow 3 looks for the link."""

NOT_STORED = "The link to the registry's page could not be stored."

log = logging.getLogger(__name__)


class PartitionRegistryLink(BaseOperatorLink):
    """Leads from a task to the timeline of its source, at its interval, in the pages inside this Airflow."""

    name = "Partition Registry"
    xcom_key = LINK

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The link that the task stored. Called in Airflow 2's web server, and in Airflow 3's worker at the end."""
        from airflow_provider_partition_registry.runtime.compat import XCom

        return XCom.get_value(ti_key=ti_key, key=LINK) or ""


def store_link(context: Mapping[str, Any], conn_id: str, source_name: str, interval: Interval) -> str:
    """Let the running task have its link from now on.

    :return: the line about it for the task's log; empty if this Airflow has no pages, or no address.
    """
    from airflow_provider_partition_registry.runtime.addresses import HAS_PAGES, in_words, timeline_path

    if not HAS_PAGES:
        return ""
    path = timeline_path(conn_id, source_name, interval)
    try:
        context["ti"].xcom_push(key=LINK, value=path)
    except Exception:  # No task is to fail for want of a link.
        log.warning(NOT_STORED, exc_info=True)
    return in_words(path)


async def store_link_from_trigger(task_instance: Any, path: str) -> None:
    """The same for a task that started in the triggerer (Airflow 3.3).

    :param task_instance: as the trigger has it; None where triggers run without a task.
    """
    from airflow_provider_partition_registry.runtime.compat import push_xcom

    if task_instance is None:
        return
    try:
        await push_xcom(task_instance, LINK, path)
    except Exception:  # No task is to fail for want of a link.
        log.warning(NOT_STORED, exc_info=True)
