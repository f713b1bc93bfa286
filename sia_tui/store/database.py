"""sqlite-utils without pandas, which it imports where that is installed, for types of values that no run has: 0.7 s and 70 MB of
every process that writes."""

from __future__ import annotations

from sia_tui.loading import hidden

with hidden("pandas"):
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

__all__ = ["Database", "Migrations"]
