"""The chapters of ``make containers``. Each has a function ``check`` that takes the report."""
