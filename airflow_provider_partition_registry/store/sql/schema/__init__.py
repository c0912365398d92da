"""The tables, and how they come about: migrations, one list for both databases."""
