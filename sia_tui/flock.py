"""One process at a time, by a lock of the kernel's: it is let go when its process dies, however that dies."""

from __future__ import annotations

import fcntl


def got(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    """Whether the open file is locked by this process now; nobody waits. Raises OSError where locks are none."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
