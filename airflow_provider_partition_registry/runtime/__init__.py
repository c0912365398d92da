"""Inside a running Airflow: what its tasks, triggers, listeners and commands have in common."""
