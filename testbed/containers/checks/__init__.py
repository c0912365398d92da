"""The chapters of ``make containers``, each a function ``check`` that gets the report."""
