"""The tables, and the migrations that create them: one list for both databases."""
