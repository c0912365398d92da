"""What people see of a registry: pages of HTML, made without any web framework, for the service and for Airflow."""
