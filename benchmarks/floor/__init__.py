"""The same training by hand, as plain functions on arrays: the price of having no framework."""
