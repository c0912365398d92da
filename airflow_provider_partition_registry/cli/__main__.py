"""``python -m airflow_provider_partition_registry.cli``."""

from __future__ import annotations

from airflow_provider_partition_registry.cli import main

main()
