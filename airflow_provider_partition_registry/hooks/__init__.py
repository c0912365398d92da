"""The hook: a registry behind an Airflow connection."""
