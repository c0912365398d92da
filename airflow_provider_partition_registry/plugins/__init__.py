"""What Airflow loads in every process: the listeners, and what they do in the background."""
