"""Results of commands as tables, pictures and JSON."""
