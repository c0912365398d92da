"""How a wait or a write ends when it does not end well: what tasks and their triggers agree on."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.errors import RegistryError

TIMEOUT_MARGIN = 60.0
"""Seconds by which Airflow's own time-out of a deferral lies behind ours, which can say what was missing."""


class UpstreamFailedError(RegistryError):
    """A write that this reader depends on failed, and the reader was told not to wait for its repair."""

    code = "upstream_failed"


class WaitFailedError(RegistryError):
    """A wait in the triggerer cannot go on; the message says why."""

    code = "wait_failed"


class LockLostError(RegistryError):
    """A task lost its lock, or cannot prove that it has it, while it wrote; what it wrote is not published."""

    code = "lock_lost"


class WriteInterruptedError(RegistryError):
    """A task wanted to leave its worker for a while in the middle of a write, where nobody would renew its lock."""

    code = "write_interrupted"


class LockNotTakenError(RegistryError):
    """The lock around a task was not taken, and cannot be taken in its place."""

    code = "lock_not_taken"
