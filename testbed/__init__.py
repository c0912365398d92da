"""Real things for the demo, the tests and the benchmarks to start and stop.

- :class:`testbed.postgres.PostgresServer`: a real PostgreSQL over TCP that can die, hang and come back;
- :class:`testbed.airflow.AirflowInstance`: a real Airflow 2.11 or 3.x from a given virtual environment;
- :class:`testbed.proxy.LosingProxy`: a network in front of a server that loses a connection when told to;
- :class:`testbed.http_proxy.HttpProxy`: an HTTP proxy that forwards and tunnels;
- :mod:`testbed.processes`: what both stand on. Every process it starts ends with the process that started it,
  even when that one is killed.

Plain standard library (and psycopg2, for PostgreSQL), never an import of Airflow: the testbed looks at it
from outside, so one test process can run two versions.
"""
