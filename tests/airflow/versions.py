"""Which Airflow this is."""

from __future__ import annotations

import airflow

VERSION = tuple(int(part) for part in airflow.__version__.split(".")[:2])
IS_AIRFLOW_3 = VERSION >= (3, 0)
