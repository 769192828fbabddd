"""Other libraries as contestants; each takes part where its Python can import it."""
