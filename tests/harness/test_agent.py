"""A program as the harness: real processes in the real sandbox, which find a real HTTP server at OPENAI_BASE_URL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from sia_tui.harness.agent import Agent, require
from sia_tui.harness.sandbox import SandboxUnavailable, probe
from sia_tui.harness.workers import Worker
from tests.harness.world import FakeGateway, World, case, gateway
from tests.harness.world import worker as world_worker

needs_bwrap = pytest.mark.skipif(not probe().bwrap.works, reason=f"bubblewrap: {probe().bwrap}")

ASKS = """
import json, os, sys, urllib.request
case = json.load(sys.stdin)
say, how = case["inputs"]["say"], case["inputs"].get("how", "chat")
def ask(text, path="/chat/completions", headers={}):
    body = json.dumps({"n": 1, "messages": [{"role": "user", "content": text}]}).encode()
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + path, body, headers)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
if how == "chat":
    print("thinking"); print(ask(say))
elif how == "json":
    print(json.dumps({"answer": ask(say) + "\\nsecond line"}))
elif how == "complains":
    print("\\x1b[31mred " + "x" * 20000 + " the end", file=sys.stderr); print("said")
elif how == "fails":
    print("no ink", file=sys.stderr); print("said"); sys.exit(3)
elif how == "sleeps":
    import time; print("going to sleep", file=sys.stderr, flush=True); time.sleep(60)
elif how == "silent":
    pass
elif how == "together":
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(4) as pool: print(sorted(pool.map(ask, "abcd")))
elif how == "elsewhere":
    try: ask(say, "/../../admin")
    except Exception as error: print(error)
elif how == "leaves a child":
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import time; time.sleep(1); ask("from the grave"); os._exit(0)
        os._exit(0)
    os.wait(); print("left")
elif how == "leaves a family":
    import time
    first = os.getpid()
    for _ in range(3):
        if os.fork() > 0: break
        os.setsid()
    else:
        time.sleep(1); ask("from the grave"); os._exit(0)
    time.sleep(0.5)
    if os.getpid() != first: time.sleep(60)
    print("left")
elif how == "code":
    names = {}
    try: exec(say, names); print(names.get("result"))
    except BaseException as error: print(type(error).__name__, error)
"""


def program(tmp_path: Path, text: str = ASKS, name: str = "agent.py") -> World:
    world = World("bwrap", tmp_path).write("")
    (tmp_path / "harness" / "harness.py").write_text("raise SystemExit('no code of the folder runs in the worker')")
    (tmp_path / "harness" / name).write_text(dedent(text))
    return world


def worker(world: World, fake: FakeGateway | None = None, lanes: int = 1, *command: str, programs: Any = ()) -> Worker:
    agent = Agent(command=command or ("python", "agent.py"), programs=programs)
    setup = world.setup().model_copy(update={"agent": agent})
    return world_worker(setup, fake.lanes(lanes) if fake else world._unanswered(lanes))


@needs_bwrap
async def test_an_agent_asks_its_policy_and_its_last_line_is_the_answer(tmp_path: Path) -> None:
    async with gateway() as fake, worker(program(tmp_path), fake, 2) as running:
        solved = await asyncio.gather(*(running.solve(n, case(say=f"法律 {n}"), 20) for n in range(2)))
        assert [one.answer for one in solved] == ["法律 0/0", "法律 1/0"]
        assert (await running.solve(0, case(say="a", how="json"), 20)).answer == "a/0\nsecond line"
        together = await running.solve(0, case(say="", how="together"), 20)
        assert together.answer == "['a/0', 'b/0', 'c/0', 'd/0']" and fake.most_at_once <= 2
        many = [running.solve(n % 2, case(say=str(n)), 20) for n in range(24)]
        assert [one.answer for one in await asyncio.gather(*many)] == [f"{n}/0" for n in range(24)]
        silent = await running.solve(0, case(say="", how="silent"), 20)
        assert (silent.answer, silent.error) == (None, None)


@needs_bwrap
async def test_what_an_agent_complains_of_is_in_its_trajectory(tmp_path: Path) -> None:
    async with worker(program(tmp_path)) as running:
        said = await running.solve(0, case(say="", how="complains"), 20)
        assert said.answer == "said" and said.notes["stderr"].endswith("the end\n")
        assert len(said.notes["stderr"]) == 6000 and "\x1b" not in said.notes["stderr"]
        failed = await running.solve(0, case(say="", how="fails"), 20)
        assert failed.answer is None and failed.error is not None and failed.error.kind == "exception"
        assert failed.error.message == "AgentFailed: the agent ended with status 3: no ink"
        late = await running.solve(0, case(say="", how="sleeps"), 1.5)
        assert late.error is not None and (late.error.kind, late.error.traceback) == ("timeout", "going to sleep\n")
        assert (await running.solve(0, case(say="", how="silent"), 20)).error is None


@needs_bwrap
@pytest.mark.parametrize("left", ["child", "family"])
async def test_no_process_outlives_its_episode(tmp_path: Path, left: str) -> None:
    async with gateway() as fake, worker(program(tmp_path), fake) as running:
        assert (await running.solve(0, case(say="", how=f"leaves a {left}"), 20)).answer == "left"
        count = (
            "import glob; lines = [open(p, 'rb').read() for p in glob.glob('/proc/[0-9]*/cmdline')]; "
            "result = sum(line.endswith(b'\\0agent.py\\0') for line in lines)"
        )
        assert (await running.solve(0, case(say=count, how="code"), 20)).answer == "1"
        assert fake.requests == []


REFUSED = {
    "the outside": "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "ipv6": "import socket; socket.socket(socket.AF_INET6)",
    "unix": "import socket; socket.socket(socket.AF_UNIX)",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a program that is not its own": "import subprocess; subprocess.run(['/usr/bin/id'])",
    "its folder": "open('agent.py', 'a')",
    "a namespace": "import ctypes\nif ctypes.CDLL(None).syscall(56, 0x10000011, 0, 0, 0, 0) < 0: raise OSError('refused')",
    "ptrace": "import ctypes\nif ctypes.CDLL(None).ptrace(16, 1, 0, 0) < 0: raise OSError('refused')",
}
ALLOWED = {
    "python again": (
        "import subprocess, sys; result = subprocess.run([sys.executable, '-c', 'print(7)'], capture_output=True).stdout",
        "b'7\\n'",
    ),
    "a room of its own": (
        "import os, tempfile; open(os.environ['HOME'] + '/a', 'w'); result = os.listdir(tempfile.gettempdir())",
        "['a']",
    ),
    "solved rows": (
        "import json, os; result = json.loads(open(os.environ['SIA_ROWS'] + '/rows.jsonl').readline())['label']",
        "b",
    ),
    "its folder": ("import os; result = sorted(os.listdir('.'))", "['agent.py', 'harness.py']"),
}


@needs_bwrap
async def test_what_an_agent_may_and_may_not(tmp_path: Path) -> None:
    async with worker(program(tmp_path)) as running:
        for name, code in REFUSED.items():
            said = (await running.solve(0, case(say=code, how="code"), 20)).answer or ""
            assert said.split()[0].endswith(("Error", "timeout")), (name, said)
        for name, (code, wanted) in ALLOWED.items():
            assert (await running.solve(0, case(say=code, how="code"), 20)).answer == wanted, name


@needs_bwrap
async def test_a_program_of_the_machine_may_be_the_agent(tmp_path: Path) -> None:
    world = program(tmp_path, 'read line\necho "$line" | tr a-z A-Z\n', "agent.sh")
    async with worker(world, None, 1, "sh", "agent.sh", programs=("tr",)) as running:
        said = (await running.solve(0, case(say="hello"), 20)).answer
    assert json.loads(said or "")["INPUTS"] == {"SAY": "HELLO"}


def test_where_an_agent_cannot_run_it_is_said_in_one_line() -> None:
    with pytest.raises(SandboxUnavailable, match=r"^harness.agent needs bubblewrap: .* Landlock cannot;"):
        require(Agent(command=("python", "a.py")), "landlock")
    with pytest.raises(SandboxUnavailable, match="needs no-such-program, which is not on this machine's PATH"):
        require(Agent(command=("python", "a.py"), programs=("no-such-program",)), "bwrap")
    require(Agent(command=("python", "a.py")), "bwrap")
