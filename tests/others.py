"""Other users of this machine: a forked process that takes on their number and groups, in no walls at all."""

from __future__ import annotations

import grp
import json
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Other:
    uid: int
    groups: tuple[int, ...] = ()

    def does(self, act: Callable[[], Any]) -> Any:
        """What `act` returned there, as JSON; `{"error": …}` where it raised. Blocking."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(self.groups)
                os.setresgid(self.uid, self.uid, self.uid)
                os.setresuid(self.uid, self.uid, self.uid)
                told = act()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is what came of it
                told = {"error": type(error).__name__, "said": str(error), "at": traceback.format_exc()}
            os.write(writing, json.dumps(told).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            said = file.read()
        os.waitpid(child, 0)
        return json.loads(said)


def groups(count: int) -> list[grp.struct_group]:
    """Groups that this machine has already; skips where nobody can become anybody else."""
    if os.geteuid() != 0:
        pytest.skip("only root can be other users")
    found = [one for one in grp.getgrall() if 0 < one.gr_gid < 1000][:count]
    if len(found) < count:
        pytest.skip("this machine has too few groups")
    return found
