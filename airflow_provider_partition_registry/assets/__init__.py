"""The assets that sources are to Airflow."""
