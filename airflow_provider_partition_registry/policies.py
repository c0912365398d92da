"""The package's cluster policy for Airflow, which reports mistakes in a DAG's locks when the DAG is parsed.

Airflow imports this at every start and calls it for every DAG (entry point ``airflow.policy``), so it imports nothing
that a DAG without partitions does not need.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from airflow.policies import hookimpl

USERS = (
    "airflow_provider_partition_registry.operators.partition_registry",
    "airflow_provider_partition_registry.decorators.partition_registry",
)


@hookimpl
def dag_policy(dag: Any) -> None:
    """Check a DAG whose edges are all known.

    :raises AirflowClusterPolicyViolation: it cannot work as it is written. No other error of ours makes a DAG fail.
    """
    if not any(module in sys.modules for module in USERS):
        return  # No DAG file of this process uses an operator of this package.
    from airflow.exceptions import AirflowClusterPolicyViolation

    from airflow_provider_partition_registry.proof.parsing import check

    try:
        check(dag)
    except AirflowClusterPolicyViolation:
        raise
    except Exception:
        logging.getLogger(__name__).exception(
            "The partition locks of DAG %s could not be checked.", dag.dag_id
        )
