"""Right answers written in other ways, and wrong ones, for the units of the course."""
