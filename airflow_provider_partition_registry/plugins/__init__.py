"""What Airflow loads of us in every process: the listeners, and what they do in the background."""
