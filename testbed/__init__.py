"""Real servers and programs that the demo, the tests and the benchmarks start and stop.

- :class:`testbed.postgres.PostgresServer`: a real PostgreSQL over TCP that can die, hang and come back;
- :class:`testbed.airflow.AirflowInstance`: a real Airflow 2.11 or 3.x from a given virtual environment;
- :class:`testbed.proxy.LosingProxy`: a network in front of a server that loses a connection when told to;
- :class:`testbed.http_proxy.HttpProxy`: an HTTP proxy that forwards and tunnels;
- :mod:`testbed.processes`: what these are built on. Every process it starts ends with the process that started it,
  even when that one is killed.

It uses the standard library (and psycopg2, for PostgreSQL) and never imports Airflow: the testbed looks at Airflow
from outside, so one test process can run two versions.
"""
