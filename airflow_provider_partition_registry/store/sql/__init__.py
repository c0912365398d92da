"""The registry in a SQL database: PostgreSQL, or SQLite for one host. Both share the code."""
