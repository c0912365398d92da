"""What those who operate the service watch: metrics, logs and health."""
