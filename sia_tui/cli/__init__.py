"""The verbs. Nothing heavy is imported before a verb needs it."""
