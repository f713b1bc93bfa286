"""What stands on this side of the wall while attempts are made, and whether it is as it was afterwards."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "the words nobody inside may read"


@dataclass
class Planted:
    names: dict[str, str | int]
    files: dict[Path, str]
    sockets: tuple[socket.socket, ...]
    secret: str = SECRET

    def check(self) -> None:
        """Raises AssertionError where something was changed, made, or reached."""
        for path, text in self.files.items():
            assert path.read_text() == text, path
            assert path.stat().st_mode & 0o777 == 0o600, path
            assert not any(name.startswith(("user.", "security.mark")) for name in os.listxattr(path)), path
        assert not Path("/made").exists() and not Path("/dev/shm/made").exists()
        assert not any(Path(str(self.names["hooks"])).iterdir())
        held = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        assert not any("made-in-the-sandbox" in name for name in held)
        for listening in self.sockets:
            listening.settimeout(0)
            try:
                listening.recv(1) if listening.type == socket.SOCK_DGRAM else listening.accept()
            except BlockingIOError:
                continue
            raise AssertionError(f"{listening.getsockname()} was reached")


@contextmanager
def planted(folder: Path) -> Iterator[Planted]:
    """Secrets in the home, in /tmp and beside the harness' own folders; sockets that wait; a token in the environment."""
    with ExitStack() as stack:
        outside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sia-test-", dir="/tmp")))
        home = Path.home() / f".sia-test-secret-{os.getpid()}"
        paths = {
            "home_secret": home,
            "tmp_secret": outside / "secret",
            "other_rows": folder / "other-rows" / "rows.jsonl",
            "slot_secret": folder / "scratch-other" / "secret",
            "store": folder / "run.db",
        }
        for path in paths.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)
            path.chmod(0o600)
        stack.callback(home.unlink)
        hooks = folder / "repository" / ".git" / "hooks"
        hooks.mkdir(parents=True)
        addresses = {"socket": f"{outside}/s", "datagram": f"{outside}/d", "abstract": f"sia-test-{os.getpid()}"}
        listener, datagram, abstract = (stack.enter_context(socket.socket(socket.AF_UNIX, kind)) for kind in (1, 2, 1))
        listener.bind(addresses["socket"])
        datagram.bind(addresses["datagram"])
        abstract.bind("\0" + addresses["abstract"])
        listener.listen()
        abstract.listen()
        names = {name: str(path) for name, path in paths.items()} | addresses
        names |= {"home": str(Path.home()), "repository": str(REPOSITORY), "hooks": str(hooks)}
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        names["mount"] = next(mount[0] for mount in mounts if mount[4] == "/")
        os.environ["SIA_TEST_TOKEN"] = SECRET
        stack.callback(os.environ.pop, "SIA_TEST_TOKEN")
        texts = dict.fromkeys(paths.values(), SECRET)
        yield Planted(names | {"pid": os.getpid()}, texts, (listener, datagram, abstract))
