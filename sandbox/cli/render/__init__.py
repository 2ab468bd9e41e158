"""Tables, pictures and JSON of what commands answer."""
