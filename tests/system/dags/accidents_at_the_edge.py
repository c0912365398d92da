"""A mapped task in a teardown's context, which Airflow gives no edge to the lock or the unlock.

In a file of its own: whoever refuses it refuses the whole file.
"""

from __future__ import annotations

from accidents import accident_dag, between, mapped_last

with accident_dag("mapped_last", "teardown") as dag:
    between("teardown", mapped_last)
