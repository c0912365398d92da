"""Partition Registry for Apache Airflow: a registry of data readiness."""

from __future__ import annotations

__version__ = "0.1.0"
