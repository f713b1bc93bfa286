"""The order in which the readers that blocks add to a harness are tried: strictest first."""

ORDER = ("exact", "letter", "lettered", "named", "nearest")
