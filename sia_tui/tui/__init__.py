"""The window: one more client of the store. It reads, and it asks through the commands table."""
