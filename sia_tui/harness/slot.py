"""What one slot has to itself on this machine, from before its process starts until after it is dead."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sia_tui.harness import cgroups, container, sandbox, uids
from sia_tui.harness.excess import THREADS
from sia_tui.harness.sandbox import Isolation, Layout
from sia_tui.harness.walls import Walls
from sia_tui.trees import remove

SCRATCH = "scratch-"
"""Where a slot sees the real file system, its scratch is a folder beside the log, of this name."""


@dataclass
class Slot:
    level: Isolation
    uid: uids.Held | None = None
    group: cgroups.Group | None = None
    scratch: Path | None = None
    meeting: container.Meeting | None = None
    contained: tuple[container.Means, container.Room] | None = None

    @property
    def apart(self) -> bool:
        """It has a file system of its own."""
        return self.level in ("bwrap", "container")

    @property
    def sheds(self) -> int | None:
        """The user number that its process takes on by itself, once it stands in its walls."""
        return self.uid.uid if self.uid is not None and self.contained is None else None

    @property
    def counts_alone(self) -> bool:
        """No other process of the machine counts against its limit of processes."""
        return self.level == "bwrap" or self.uid is not None

    def command(self, layout: Layout, environment: Mapping[str, str], argv: Sequence[str]) -> list[str]:
        if self.contained is not None and self.meeting is not None:
            means, room = self.contained
            return container.command(means, self.meeting, layout, environment, room, argv)
        words = sandbox.command(sandbox.probe(), self.level, layout, environment, argv, self.sheds is not None)
        return self.group.entered(words) if self.group is not None else words

    def outside(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of whoever puts up the walls: bubblewrap's could be read inside, a container's program's not."""
        if self.level == "container":
            return dict(os.environ)
        return {} if self.level == "bwrap" else dict(environment)

    def leave(self) -> None:
        """Once its process is dead; of a container this makes sure. Blocking."""
        if self.meeting is not None:
            self.meeting.close()
            if self.contained is not None:
                container.remove(self.contained[0], self.meeting.name)
        if self.scratch is not None:
            remove(self.scratch)
        if self.group is not None:
            self.group.close()
        if self.uid is not None:
            self.uid.let_go()


def taken(level: Isolation, walls: Walls, shown: Sequence[Path], beside: Path, memory: int, files: int) -> Slot:
    """`shown` is what the slot is to read, files and folders; `memory` in bytes. Blocking. Raises SandboxUnavailable."""
    slot = Slot(level)
    try:
        if level != "none" and walls.uids is not None and may_shed(level, shown, beside):
            slot.uid = uids.held(walls.uids)
        if level == "container":
            number = slot.uid.uid if slot.uid else os.geteuid() or container.NOBODY
            slot.contained = container.require(walls.container), container.Room(number, memory, files)
            slot.meeting = container.Meeting()
            return slot
        if not slot.apart:
            slot.scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=beside.resolve()))
            if slot.uid is not None:
                os.chown(slot.scratch, slot.uid.uid, slot.uid.uid)
        where = cgroups.hierarchy() if level != "none" else None
        if where is not None:
            with suppress(OSError):
                slot.group = cgroups.made(where, memory, 2 * THREADS)
        return slot
    except BaseException:
        slot.leave()
        raise


def may_shed(level: Isolation, shown: Sequence[Path], beside: Path) -> bool:
    """Whether a user who is nobody else can read what the slot is shown: without a file system of its own, by its way there."""
    if os.geteuid() != 0 or (level == "bwrap" and not sandbox.probe().as_root):
        return False
    ways = [path.resolve().parent for path in shown] + [beside.resolve()] if level == "landlock" else []
    return not any(map(uids.closed, shown)) and not any(map(uids.in_the_way, ways))
