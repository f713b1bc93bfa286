"""What harness code cannot do. Each attempt is real code in a real worker; the host's side is planted around it."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.world import RUN_CODE, World, case

REPOSITORY = Path(__file__).resolve().parents[2]

SECRET = "the words nobody inside may read"

ATTEMPTS = {
    "inet socket": "import socket; socket.socket(socket.AF_INET)",
    "inet6 socket": "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "netlink socket": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "name lookup": "import socket; socket.getaddrinfo('localhost.example', 80)",
    "host unix socket": "import socket; socket.socket(socket.AF_UNIX).connect({socket!r})",
    "abstract unix socket": "import socket; socket.socket(socket.AF_UNIX).connect('\\0{abstract}')",
    "datagram to a host socket": (
        "import socket; a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'x', {datagram!r})"
    ),
    "connect from an inherited lane": "import ctypes; assert ctypes.CDLL(None).connect(0, None, 0) == 0, 'refused'",
    "/etc/passwd": "result = open('/etc/passwd').read()",
    "/etc/hostname": "result = open('/etc/hostname').read()",
    "home": "import os; result = os.listdir({home!r})",
    "secret in the home": "result = open({home_secret!r}).read()",
    "secret in /tmp": "result = open({tmp_secret!r}).read()",
    "repository": "result = open({repository!r} + '/docs/design.md').read()",
    "environment of the parent": "import os; result = open(f'/proc/{{os.getppid()}}/environ').read()",
    "packages of the base interpreter": (
        "import sysconfig, os; p = sysconfig.get_path('stdlib') + '/site-packages'; "
        "result = [open(f'{{r}}/{{f}}') for r, d, fs in os.walk(p) for f in fs][0]"
    ),
    "write to /": "open('/made', 'w')",
    "write to the harness": "import harness; open(harness.__file__, 'a')",
    "write to the rows": "open({rows!r}, 'a')",
    "write to the secret": "open({home_secret!r}, 'w')",
    "write to /dev/shm": "open('/dev/shm/made', 'w')",
    "truncate": "import os; os.truncate({home_secret!r}, 0)",
    "chmod": "import os; os.chmod({home_secret!r}, 0o777)",
    "read through a link": (
        "import os; p = os.environ['HOME'] + '/l'; os.symlink('/etc/passwd', p); result = open(p).read()"
    ),
    "fork": "import os; pid = os.fork(); pid or os._exit(0)",
    "subprocess": "import subprocess; subprocess.run(['/bin/true'])",
    "exec": "import os, sys; os.execv(sys.executable, [sys.executable, '-c', ''])",
    "posix_spawn": "import os, sys; os.posix_spawn(sys.executable, [sys.executable, '-c', ''], {{}})",
    "os.system": "import os; assert os.system('true') == 0, 'refused'",
    "multiprocessing": "import multiprocessing as m; p = m.get_context('fork').Process(target=print); p.start()",
    "unshare": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0, 'refused'",
    "fchmodat2": (
        "import ctypes; c = ctypes.CDLL(None); p = {home_secret!r}.encode(); "
        "assert c.syscall(452, -100, p, 511, 0) == 0, 'refused'"
    ),
    "mounts of the host": "result = open('/proc/self/mountinfo').read(); assert ' /sys ' in result, 'refused'",
    "sockets of the host": "result = open('/proc/self/net/unix').read(); assert {socket!r} in result, 'refused'",
    "mount": "import ctypes; assert ctypes.CDLL(None).mount(b'x', b'/', b'tmpfs', 0, None) == 0, 'refused'",
    "ptrace": "import ctypes; assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0, 'refused'",
    "signal to the parent": "import os, signal; os.kill(os.getppid(), signal.SIGCONT)",
    "shared memory": "import ctypes; assert ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0, 'refused'",
    "raise a limit": "import resource as r; r.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY))",
    "limits of another": "import resource as r; r.prlimit({pid}, r.RLIMIT_CORE)",
}

ALLOWED = {
    "capabilities": (
        "lines = open('/proc/self/status').read(); result = lines.split('CapEff:')[1].split()[0]",
        "0000000000000000",
    ),
    "no new privileges": ("result = open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0]", "1"),
    "threads": (
        "import concurrent.futures as f; p = f.ThreadPoolExecutor(4); result = sum(p.map(int, '1234'))",
        "10",
    ),
    "scratch": (
        "import os, tempfile; p = os.environ['HOME'] + '/a'; open(p, 'w').write('kept'); "
        "tempfile.TemporaryDirectory(); result = open(p).read()",
        "kept",
    ),
    "device null": ("result = open('/dev/null', 'w').write('x')", "1"),
    "names of its own": ("import sys; result = [m for m in ('recording', 'confine') if m in sys.modules]", "[]"),
    "rows": ("import json; result = json.loads(open({rows!r}).readline())['label']", "b"),
    "hashes": ("result = hash('a') == hash('a') and __import__('sys').flags.hash_randomization", "0"),
    "no packages": ("import sys; result = [p for p in sys.path if 'packages' in p]", "[]"),
    "environment": (
        "import os; result = sorted(set(os.environ) - {{'HOME', 'TMPDIR', 'LOGNAME', 'LANG', 'TZ', 'PWD', "
        "'PYTHONHASHSEED', 'JOBLIB_MULTIPROCESSING', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', "
        "'LOKY_MAX_CPU_COUNT'}})",
        "[]",
    ),
    "own environment in /proc": (
        "result = b'SIA_TEST_TOKEN' in open('/proc/self/environ', 'rb').read()",
        "False",
    ),
}


@dataclass
class Host:
    """What is planted on this side of the wall."""

    names: dict[str, Any]
    listener: socket.socket
    abstract: socket.socket
    datagram: socket.socket


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    home = Path.home() / f".sia-test-secret-{os.getpid()}"
    home.write_text(SECRET)
    with tempfile.NamedTemporaryFile("w", dir="/tmp", prefix="sia-test-") as tmp, tempfile.TemporaryDirectory() as d:
        tmp.write(SECRET)
        tmp.flush()
        listener, abstract, datagram = (socket.socket(socket.AF_UNIX, k) for k in (1, 1, 2))
        listener.bind(f"{d}/s")
        abstract.bind(f"\0sia-test-{os.getpid()}")
        datagram.bind(f"{d}/d")
        listener.listen()
        abstract.listen()
        names = {"socket": f"{d}/s", "abstract": f"sia-test-{os.getpid()}", "datagram": f"{d}/d"}
        names |= {"home": str(Path.home()), "home_secret": str(home), "tmp_secret": tmp.name}
        try:
            yield Host(names | {"repository": str(REPOSITORY), "pid": os.getppid()}, listener, abstract, datagram)
        finally:
            home.unlink()
            for opened in (listener, abstract, datagram):
                opened.close()


@pytest.fixture(scope="session")
def results(level: Any, host: Host, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each attempt came to, all in one worker."""
    world = World(level, tmp_path_factory.mktemp("confined")).write(RUN_CODE)
    rows = "/rows/rows.jsonl" if level == "bwrap" else str(world.folder / "rows" / "rows.jsonl")
    codes = ATTEMPTS | {name: code for name, (code, _) in ALLOWED.items()}

    async def run() -> dict[str, str]:
        found = {}
        async with world.worker() as worker:
            for name, code in codes.items():
                outcome = await worker.solve(0, case(code=code.format(rows=rows, **host.names)), 10)
                found[name] = str(outcome.answer)
        return found

    os.environ["SIA_TEST_TOKEN"] = "secret"
    try:
        return asyncio.run(run())
    finally:
        del os.environ["SIA_TEST_TOKEN"]


@pytest.mark.parametrize("name", ATTEMPTS)
def test_refused(name: str, results: dict[str, str]) -> None:
    kinds = ("PermissionError", "FileNotFoundError", "OSError", "gaierror", "AssertionError: refused", "IndexError")
    assert results[name].startswith((*kinds, "ValueError: not allowed to raise", "ProcessLookupError")), results[name]


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str, results: dict[str, str]) -> None:
    assert results[name] == ALLOWED[name][1]


def test_nothing_reached_the_host(results: dict[str, str], host: Host) -> None:
    for listening in (host.listener, host.abstract):
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()
    host.datagram.settimeout(0)
    with pytest.raises(BlockingIOError):
        host.datagram.recv(1)
    for name in ("home_secret", "tmp_secret"):
        assert Path(host.names[name]).read_text() == SECRET
    assert not any(SECRET in result for result in results.values())
