"""What an Airflow run says about itself: which interval it is about, and who it is as a lock holder."""
