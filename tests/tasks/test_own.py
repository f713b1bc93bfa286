"""A task of one's own: from two files to a task, its reward in a process of its own, and what a reward must not pay."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sia_tui.config import load_config
from sia_tui.core.fitness import Finding
from sia_tui.engine.session import SEEDS
from sia_tui.engine.tasks import equipped
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.workspace import Workspace
from sia_tui.tasks import own
from sia_tui.tasks.fit import fit, plain
from sia_tui.tasks.scaffold import Ordered, Program, new
from sia_tui.tasks.task import Task, TaskError
from sia_tui.tasks.verifier import VerifierFailed, VerifierProcess, VerifierTampered
from sia_tui.tasks.verifier_pool import VerifierPool
from tests.tasks.processes import gone, written

REWARDS = """
import asyncio, time

def exact(answer, case):
    return float(answer.strip() == case["gold"])

async def later(answer, case):
    await asyncio.sleep(0.01)
    return {"reward": 0.5, "failure": "half", "metrics": {"length": len(answer)}, "detail": {"seen": case["inputs"]["text"]}}

def broken(answer, case):
    print("noise on stdout")
    raise ValueError("no such unit: " + answer)

def leaves(answer, case):
    import subprocess
    subprocess.run("echo noise; sleep 600 & echo $! > " + answer, shell=True)
    return 1

def asleep(answer, case):
    while answer == "sleep":
        time.sleep(1)
    return 1

def breaks(answer, case):
    if answer == "cancels":
        raise asyncio.CancelledError
    if answer == "half":
        raise ValueError(chr(0xD800))
    if answer == "much":
        return {"reward": 0, "metrics": {f"line {n}": n for n in range(9999)}, "failure": "x" * 10**6}
    if answer == "number":
        return {"reward": 0, "failure": 3, "detail": None}
    return {"reward": float(answer == "right"), "failure": None}

def ends(answer, case):
    import os
    if answer == "ends":
        os._exit(3)
    return 1.0

def mad(answer, case):
    return {"nan": float("nan"), "two": 2, "none": None, "text": "1"}[answer]

def kind(answer, case):
    return 1.0

def holds(answer, case):
    return float(case["gold"] in answer)

def evaluates(answer, case):
    try:
        return float(eval(answer, {"__builtins__": __builtins__}) == case["gold"])
    except Exception:
        return float(answer == case["gold"])

def noisy(answer, case):
    return float(answer == case["gold"]) * (0.9 + 0.1 * (time.time_ns() // 1000 % 2))
"""


def lines(count: int = 60) -> list[dict[str, Any]]:
    """Distinct texts of three labels."""
    return [
        {
            "input": f"case number {n}: {chr(97 + n % 26) * 9} and {chr(97 + n // 26) * 9}",
            "gold": ("red", "green", "blue")[n % 3],
        }
        for n in range(count)
    ]


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "given.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def made(folder: Path, reward: dict[str, Any], rows: list[dict[str, Any]] | None = None) -> Task:
    (folder / "given.py").write_text(REWARDS, encoding="utf-8")
    if "function" in reward:
        reward = reward | {"function": f"{folder / 'given.py'}:{reward['function']}"}
    new(Ordered("mine", write(folder, rows or lines()), reward), folder / "mine", SEEDS)
    return loaded(folder / "mine")


def loaded(folder: Path, seed: int = 0) -> Task:
    return own.load(folder, seed, 5, 0.15, 0.15, None)


async def judged(task: Task, folder: Path, *answers: object) -> list[Any]:
    gold = {id: task.gold[id] for id in task.ids("train")}
    async with VerifierProcess(folder / "verifier", gold, task.labels, task.judge) as verifier:
        return [await verifier.score(task.ids("train")[0], answer) for answer in answers]


def test_two_files_become_a_task_that_is_fit(tmp_path: Path) -> None:
    task = made(tmp_path, {"function": "exact"})
    assert task.labels == ("blue", "green", "red") and task.name == "mine"
    assert {len(task.ids(split)) > 0 for split in own.SPLITS} == {True} and len(task.cases) == 60
    assert plain(fit(task)) == ""
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        *("cases.jsonl", "harness", "rewards.py", "run.yaml", "task.yaml", "test_task.py")
    ]


def test_the_seal_does_not_move_with_the_seed(tmp_path: Path) -> None:
    made(tmp_path, {"function": "exact"})
    tasks = [loaded(tmp_path / "mine", seed) for seed in range(6)]
    assert len({task.ids("test") for task in tasks}) == len({task.test_hash for task in tasks}) == 1
    assert len({task.ids("dev") for task in tasks}) > 1


async def test_every_kind_of_reward_is_heard(tmp_path: Path) -> None:
    task = made(tmp_path, {"function": "later"})
    (score,) = await judged(task, tmp_path, "abc")
    assert (score.reward, score.failure, score.metrics["length"]) == (0.5, "half", 3.0)
    assert score.detail["seen"].startswith("case number")


async def test_what_goes_wrong_in_a_reward_is_the_rewards_own(tmp_path: Path) -> None:
    (raised,) = await judged(made(tmp_path, {"function": "broken"}), tmp_path, "furlong")
    assert (raised.reward, raised.failure) == (0.0, "verifier_error")
    assert raised.detail["verifier"] == "ValueError: no such unit: furlong"


async def test_nothing_that_a_reward_says_ends_its_process_or_passes_for_right(tmp_path: Path) -> None:
    task = made(tmp_path, {"function": "breaks"}, [row | {"gold": "g" * 10**5} for row in lines()])
    said = ("cancels", "half", "much", "number", "wrong", "right")
    cancels, half, much, number, wrong, right = await judged(task, tmp_path, *said)
    assert cancels.failure == half.failure == "verifier_error" and half.detail["verifier"] == "ValueError: ?"
    assert len(much.metrics) <= 100 and much.failure == "x" * 200
    assert (number.failure, wrong.failure, right.failure) == ("3", "wrong", None)


async def test_an_answer_that_ends_the_reward_time_and_again_ends_nothing_else(tmp_path: Path) -> None:
    scores = await judged(made(tmp_path, {"function": "ends"}), tmp_path, "ends", "fine", "ends", "fine")
    assert [score.failure for score in scores] == ["verifier_ended", None] * 2
    assert "code 3" in scores[0].detail["verifier"]


async def test_a_reward_that_hangs_is_ended_and_the_next_answer_is_judged(tmp_path: Path) -> None:
    task = made(tmp_path, {"function": "asleep", "deadline_s": 0.3})
    late, fine = await judged(task, tmp_path, "sleep", "wake")
    assert (late.failure, fine.reward) == ("verifier_timeout", 1.0)


async def test_what_a_reward_starts_says_nothing_in_its_name_and_ends_with_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    async with asyncio.timeout(60):
        (score,) = await judged(made(tmp_path, {"function": "leaves"}), tmp_path, str(file))
        assert score.reward == 1.0
        await gone(file.read_text().strip())


@pytest.mark.parametrize("said", ["nan", "two", "none", "text"])
async def test_a_reward_that_is_none_is_not_the_answers_fault(tmp_path: Path, said: str) -> None:
    (score,) = await judged(made(tmp_path, {"function": "mad"}), tmp_path, said)
    assert score.failure == "verifier_error" and "from 0 to 1" in score.detail["verifier"]


async def test_no_answer_earns_nothing_whatever_the_reward_says(tmp_path: Path) -> None:
    scores = await judged(made(tmp_path, {"function": "kind"}), tmp_path, None, "", " \n", 7, "something")
    assert [score.reward for score in scores] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert [score.failure for score in scores] == ["no_answer", "no_answer", "no_answer", "bad_answer", None]


def test_a_reward_that_pays_anything_is_found_out(tmp_path: Path) -> None:
    told = plain(fit(made(tmp_path, {"function": "kind"})))
    assert "wrong: a wrong answer earns 1.00" in told and "random: 1 of 1 paid: letters (1.00)" in told
    assert "exploits: 36 of 36 paid: order (1.00)" in told and "empty: 1 of 3 paid: nul" in told


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.row: finding.level for finding in findings}


def test_a_reward_that_looks_for_the_label_anywhere_pays_for_naming_all(tmp_path: Path) -> None:
    found = fit(made(tmp_path, {"function": "holds"}))
    assert {row for row, level in levels(found).items() if level == "fails"} == {"shape", "exploits"}
    assert "shape: 3 of 3 paid: all-labels (1.00), hedge (1.00), other-first (1.00)" in plain(found)
    assert "trailing (1.00)" in plain(found)


def test_a_reward_that_runs_the_answer_is_ended_by_one_and_says_which(tmp_path: Path) -> None:
    found = fit(made(tmp_path, {"function": "evaluates"}))
    assert "dunder (it ends the verifier)" in plain(found) and "python (1.00)" in plain(found)
    assert levels(found)["verifier"] == "amber"


def test_a_reward_that_changes_by_itself_has_a_noise_floor(tmp_path: Path) -> None:
    (row,) = (finding for finding in fit(made(tmp_path, {"function": "noisy"})) if finding.row == "repeats")
    assert row.level == "amber" and 0 < row.figures["sigma"] <= 0.1


def test_a_constant_answer_that_is_nearly_always_right_leaves_little(tmp_path: Path) -> None:
    rows = [row | {"gold": "red" if n % 15 else "blue"} for n, row in enumerate(lines())]
    assert levels(fit(made(tmp_path, {"function": "exact"}, rows)))["headroom"] == "amber"


SCORING = """
import json, sys
told = json.load(sys.stdin)
print("thinking")
if told["answer"] == "fail":
    sys.exit("out of ink")
if told["answer"] == "echo":
    print(json.dumps({"reward": 0.5, "failure": "\u2028\x85"}, ensure_ascii=False))
    sys.exit()
print(json.dumps(1 if told["answer"] == told["case"]["gold"] else 0.25))
"""


async def test_a_command_is_asked_in_json(tmp_path: Path) -> None:
    task = made(tmp_path, {"command": ["python3", "-c", SCORING]})
    right, wrong, failed, echo = await judged(task, tmp_path, task.gold[task.ids("train")[0]], "mauve", "fail", "echo")
    assert (echo.reward, echo.failure) == (0.5, "\u2028\x85")
    assert (right.reward, wrong.reward, wrong.failure) == (1.0, 0.25, "partial")
    assert failed.failure == "verifier_error" and "out of ink" in failed.detail["verifier"]


async def test_a_command_dies_with_the_verifier_that_asked_it(tmp_path: Path) -> None:
    hangs = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    task = made(tmp_path, {"command": ["python3", "-c", hangs]})
    gold = {id: task.gold[id] for id in task.ids("train")}
    async with asyncio.timeout(60), VerifierProcess(tmp_path / "v", gold, task.labels, task.judge) as verifier:
        asked = asyncio.create_task(verifier.score(task.ids("train")[0], "x"))
        pid = await written(tmp_path / "pid")
        assert verifier._process is not None
        os.kill(verifier._process.pid, signal.SIGKILL)
        await gone(pid)
        asked.cancel()
        await asyncio.wait({asked})


@pytest.fixture
def address() -> Iterator[str]:
    class Half(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"reward": 0.5 if told["answer"] == "half" else 0.0}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Half)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/score"
    server.shutdown()
    server.server_close()


async def test_an_address_is_asked_by_post(tmp_path: Path, address: str) -> None:
    half, none = await judged(made(tmp_path, {"url": address}), tmp_path, "half", "whole")
    assert (half.reward, half.failure, none.reward, none.failure) == (0.5, "partial", 0.0, "wrong")


def test_gold_that_is_no_label_makes_an_open_task(tmp_path: Path) -> None:
    rows = [
        {"inputs": {"question": f"what is {n} times {n + 1}?", "unit": "none"}, "gold": {"value": n * (n + 1)}}
        for n in range(40)
    ]
    task = made(tmp_path, {"function": "later"}, rows)
    assert task.labels == () and set(next(iter(task.cases.values())).inputs) == {"question", "unit"}
    assert task.seed is not None and (task.seed / "prompt.md").read_text() == "{inputs}\n"
    assert json.loads(task.gold[task.ids("train")[0]])["value"] >= 0


def test_cases_may_come_divided(tmp_path: Path) -> None:
    rows = [row | {"split": ("train", "train", "dev", "hidden", "test")[n % 5]} for n, row in enumerate(lines())]
    task = made(tmp_path, {"function": "exact"}, rows)
    assert [len(task.ids(split)) for split in own.SPLITS] == [24, 12, 12, 12]
    assert all(task.cases[id].fold is not None for id in task.ids("train"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (lines(5), "has 5 cases: at least 20"),
        ([*lines(), {"gold": "red"}], "line 61: `inputs` is an object of texts"),
        ([*lines(), {"input": "x", "split": "training"}], "line 61: split is one of"),
        ([*lines(), lines()[0]], "1 cases stand there twice"),
        (
            [*lines(), {"input": "one more of another kind", "gold": "red", "split": "dev"}],
            "either every case names its split",
        ),
    ],
)
def test_what_is_wrong_with_cases_is_said_with_its_line(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(TaskError, match=said):
        made(tmp_path, {"function": "exact"}, rows)
    assert not (tmp_path / "mine").exists() and not list(tmp_path.glob(".mine*"))


async def test_a_reward_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    task = made(tmp_path, {"function": "missing"})
    with pytest.raises(VerifierFailed, match="AttributeError: module 'rewards' has no attribute 'missing'"):
        await judged(task, tmp_path, "x")


def test_a_reward_that_does_not_start_is_a_finding(tmp_path: Path) -> None:
    assert "has no attribute 'missing'" in plain(fit(made(tmp_path, {"function": "missing"})))


def test_task_yaml_says_what_is_wrong_in_it(tmp_path: Path) -> None:
    made(tmp_path, {"function": "exact"})
    path = tmp_path / "mine" / own.TASK
    for text, said in (("name: [", "cannot be read"), ("name: mine\n", "description"), ("name: A b\n", "name")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(TaskError, match=said):
            loaded(tmp_path / "mine")


SLOW = """
import sys, time
def slow(answer, case):
    time.sleep(0.3)
    return {"reward": 1.0, "detail": {"python": sys.prefix, "pid": str(__import__("os").getpid())}}
"""


async def test_answers_are_judged_side_by_side_and_a_hung_one_holds_up_no_other(tmp_path: Path) -> None:
    task = made(tmp_path, {"function": "asleep", "deadline_s": 0.5, "at_once": 3})
    gold = {id: task.gold[id] for id in task.ids("train")}
    async with VerifierPool(tmp_path / "verifier", gold, task.labels, [task.judge] * task.judge.at_once) as pool:
        assert pool.verifier_hash == VerifierProcess(tmp_path / "one", gold, task.labels, task.judge).verifier_hash
        case = task.ids("train")[0]
        scores = await asyncio.gather(*(pool.score(case, said) for said in ("sleep", "a", "b", "sleep", "c", "d")))
        assert [score.failure for score in scores] == ["verifier_timeout", None, None, "verifier_timeout", None, None]
        (tmp_path / "verifier" / "2" / "rewards.py").unlink()
        with pytest.raises(VerifierTampered):
            pool.check()


async def test_a_reward_with_requirements_runs_on_a_python_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text("# nothing but the interpreter\n")
    (tmp_path / "slow.py").write_text(SLOW)
    reward = {"function": f"{tmp_path / 'slow.py'}:slow", "requirements": str(tmp_path / "pins.txt")}
    new(Ordered("mine", write(tmp_path, lines()), reward), tmp_path / "mine", SEEDS)
    task = equipped(loaded(tmp_path / "mine"), Workspace(tmp_path / "ws"), print)
    (score,) = await judged(task, tmp_path, "red")
    assert score.detail["python"] == sys.base_prefix != sys.prefix
    (tmp_path / "mine" / "requirements.txt").write_text("numpy>=2\n")
    with pytest.raises(TaskError, match=r"the reward's own environment: .* line 1: write name==version"):
        equipped(loaded(tmp_path / "mine"), Workspace(tmp_path / "ws"), print)


def test_an_agent_s_folder_becomes_the_first_harness(tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    (agent / "prompts").mkdir(parents=True)
    files = {"run.py": "print(1)", "prompts/ask.txt": "?", "requirements.txt": "", ".env": "KEY=secret", "tools.py": ""}
    for name, text in files.items():
        (agent / name).write_text(text)

    def ordered(command: str) -> None:
        program = Program(tuple(command.split()), agent)
        new(Ordered("mine", write(tmp_path, lines()), {"url": "http://a"}, agent=program), tmp_path / "mine", SEEDS)

    with pytest.raises(TaskError, match=r"has no walk.py: --agent names files"):
        ordered("python walk.py")
    ordered("python run.py --fast")
    config = load_config(tmp_path / "mine" / "run.yaml").harness
    assert config.agent is not None and config.agent.command == ("python", "run.py", "--fast")
    assert config.surface == ("*.py", "prompts/ask.txt")
    planted = HarnessRepository.package_in(tmp_path / "mine" / "harness")
    assert set(planted) == {*files} - {".env"}
