"""The matrix: really runs every supported Airflow and Python, with the packages of its time and with today's.

``python -m testbed.matrix`` runs all rows (:mod:`testbed.matrix.rows`) and renews the table of ``docs/support.md``.
"""
