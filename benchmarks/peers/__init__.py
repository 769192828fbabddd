"""Other libraries as contestants; each takes part if its Python can import it."""
