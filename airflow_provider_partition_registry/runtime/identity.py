"""The identity of a task as a lock holder."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.explanation import LOG_URL
from airflow_provider_partition_registry.domain.models import Holder
from airflow_provider_partition_registry.runtime.compat import conf

# Hosts in the web address of an Airflow whose own address nobody configured.
SHARED_HOSTS = ("airflow", "localhost", "127.0.0.1", "0.0.0.0", "::1")  # noqa: S104 - names, nothing is bound


TAKEN_BY = "taken_by"
"""The detail of a lock that names the task for which it was taken again, if that is not the lock task."""


class AmbiguousInstanceError(RegistryError):
    """This Airflow has no name that tells it from others, so its locks could not be told from theirs."""

    code = "ambiguous_instance"

    def __init__(self, instance: str, conn_id: str) -> None:
        super().__init__(
            f"Locks of this Airflow would carry the name {instance!r}, which another Airflow may have as well: a run "
            f"of the same DAG there would take them for its own and could publish half-written data. Give this "
            f"Airflow a name of its own in the connection {conn_id!r}: in the UI the field Instance, as JSON "
            f'"extra": {{"instance": "my-airflow"}}, as a URI ?instance=my-airflow.'
        )


@dataclass(frozen=True)
class HolderIdentity:
    """A task of a run as a lock holder: ``instance/dag/run/task``, and ``/map index`` if it is mapped.

    The try number is left out, so that a retried or cleared task takes its own lock up again (R3).
    """

    instance: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    def __str__(self) -> str:
        index = "" if self.map_index < 0 else f"/{self.map_index}"
        return f"{prefix_of(self.instance, self.dag_id, self.run_id)}{_quoted(self.task_id)}{index}"

    @property
    def task_label(self) -> str:
        """The task as people name it: ``load``, or ``load[2]``."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


def prefix_of(instance: str, *parts: str) -> str:
    """The common beginning of the identities of all holders of an instance, of a DAG there, or of a run."""
    return "".join(f"{_quoted(part)}/" for part in (instance, *parts))


def parse_identity(text: str) -> HolderIdentity | None:
    """Read a lock holder's identity; None if it is not one of a task."""
    parts = [unquote(part) for part in text.split("/")]
    if len(parts) not in (4, 5):
        return None
    index = parts[4] if len(parts) == 5 else "-1"
    try:
        parsed = HolderIdentity(parts[0], parts[1], parts[2], parts[3], int(index))
    except ValueError:
        return None
    return parsed if str(parsed) == text else None


def _quoted(part: str) -> str:
    return quote(part, safe="@:+=,.~")


def holder_of_task(
    context: Mapping[str, Any],
    *,
    instance: str | None,
    task_id: str | None = None,
    map_index: int | None = None,
) -> Holder:
    """The holder as which a task acts.

    :param instance: tells this Airflow from others; by default the host of its web address.
    :param task_id: the task that holds the lock, if it is another task of the same run.
    :param map_index: that task's map index.
    """
    ti = context["ti"]
    index = ti.map_index if map_index is None else map_index
    identity = HolderIdentity(
        instance or default_instance(),
        ti.dag_id,
        ti.run_id,
        task_id or ti.task_id,
        -1 if index is None else index,
    )
    return Holder(str(identity), details_of_task(ti))


def details_of_task(ti: Any) -> dict[str, str]:
    """Details that help a person find the try of a task: host, try number and log."""
    details = {
        "host": socket.gethostname(),
        "try_number": str(ti.try_number),
        LOG_URL: str(getattr(ti, "log_url", "") or ""),
    }
    return {key: value for key, value in details.items() if value}


def require_name(instance: str | None, conn_id: str) -> None:
    """Check that this Airflow can be told from others.

    :param instance: its name in the connection, or None.
    :raises AmbiguousInstanceError: it has no name there, and others may have the same web address.
    """
    if not instance and is_ambiguous(default_instance()):
        raise AmbiguousInstanceError(default_instance(), conn_id)


def own_name(instance: str | None, conn_id: str) -> str:
    """The name of this Airflow.

    :param instance: its name in the connection, or None.
    :raises AmbiguousInstanceError: it has no name there, and others may have the same web address.
    """
    require_name(instance, conn_id)
    return instance or default_instance()


def is_ambiguous(instance: str) -> bool:
    """Whether several Airflows may well have this name."""
    return urlsplit(f"//{instance}").hostname in SHARED_HOSTS


def default_instance() -> str:
    """The name of this Airflow unless its connection gives one: host and port of its web address."""
    for section in ("api", "webserver"):  # Airflow 3, Airflow 2
        address = urlsplit(conf.get(section, "base_url", fallback="") or "")
        if address.netloc:
            return address.netloc
    return "airflow"
