"""What tasks, triggers, listeners and commands inside a running Airflow have in common."""
