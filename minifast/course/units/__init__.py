"""The units of the course: tasks, properties, hints and bugs."""
