"""What operators watch: metrics, logs and health."""
