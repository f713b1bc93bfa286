"""What follows something that others write, in a thread of its own, until it is stopped."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Follower(ABC):
    def __init__(self, name: str) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)

    def start(self) -> None:
        """A second time changes nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Waits a little for what is under way; a thread that hangs on a file ends with the process."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    @abstractmethod
    def _follow(self) -> None:
        """Follow until `_over` is set."""
