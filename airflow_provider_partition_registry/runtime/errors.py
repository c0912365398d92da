"""Errors with which a wait or a write ends; tasks and their triggers share them."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.errors import RegistryError

TIMEOUT_MARGIN = 60.0
"""Seconds by which Airflow's own time-out of a deferral comes after ours, which can say what was missing."""


class UpstreamFailedError(RegistryError):
    """A write that this reader depends on failed, and the reader was not to wait for its repair."""

    code = "upstream_failed"


class WaitFailedError(RegistryError):
    """A wait in the triggerer cannot go on; the message says why."""

    code = "wait_failed"


class LockLostError(RegistryError):
    """A task lost its lock while it wrote, or cannot prove that it holds it; nothing it wrote is published."""

    code = "lock_lost"


class WriteInterruptedError(RegistryError):
    """A task tried to leave its worker in the middle of a write, where nobody would renew its lock."""

    code = "write_interrupted"


class LockNotTakenError(RegistryError):
    """The lock around a task was not taken by its lock task, and the guard cannot take it either."""

    code = "lock_not_taken"
