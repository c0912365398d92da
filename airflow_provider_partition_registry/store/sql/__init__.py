"""The registry in a SQL database: PostgreSQL, or SQLite for one host. One code for both."""
