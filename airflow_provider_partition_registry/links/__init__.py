"""Links from tasks in Airflow's pages."""
