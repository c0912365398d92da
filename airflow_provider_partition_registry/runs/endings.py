"""How a wait ends when it does not end well: what the sensor, the operators and their triggers agree on."""

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
