from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from sia_tui.core.episodes import Score
from sia_tui.tasks import verifier, verify
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.verifier import EXACT, VerifierDied, VerifierFailed, VerifierProcess, VerifierTampered
from sia_tui.tasks.verifier_pool import VerifierPool
from tests.tasks.processes import gone, written

ROOT = Path(__file__).parents[2]
LABELS = ("盗窃", "诈骗", "信用卡诈骗")
GOLD = {"a": "盗窃", "b": "信用卡诈骗"}
SECRET = "诈骗"
PROTOCOL = """
import hashlib, json, os, sys, time
print(json.dumps({"ready": hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
"""
CRASHES_ONCE = (
    PROTOCOL
    + """
    if not os.path.exists("crashed"):
        open("crashed", "w").close()
        os._exit(3)
    print(json.dumps({"id": request["id"], "score": {"reward": 1.0, "failure": None}}), flush=True)
"""
)
ALWAYS = PROTOCOL + "    open('tries', 'a').write('x')\n"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("信用卡诈骗", None),
        ("诈骗", "wrong"),
        ("信用卡诈骗 ", "not_a_label"),
        ("信用卡诈骗\n盗窃", "not_a_label"),
        ("罪" * 10**6, "not_a_label"),
        ("\ud800\x00", "not_a_label"),
        (None, "no_answer"),
        ("", "no_answer"),
        ("\u3000\n", "no_answer"),
        (1, "bad_answer"),
        (float("nan"), "bad_answer"),
        (["信用卡诈骗"], "bad_answer"),
        ({"信用卡诈骗": 1}, "bad_answer"),
        (b"x", "bad_answer"),
        (type("Sly", (str,), {"__eq__": lambda self, other: True, "__hash__": str.__hash__})("诈骗"), "bad_answer"),
    ],
)
def test_exact_match_and_nothing_else(answer: object, failure: str | None, tmp_path: Path) -> None:
    score = verify.score(answer, "信用卡诈骗", LABELS)
    assert (score.reward, score.failure) == (float(failure is None), failure)
    assert score.detail["expected"] == "信用卡诈骗"
    assert len(score.detail["answer"].encode()) <= 8 * verify.CLIP

    async def asked() -> Score:
        async with VerifierProcess(tmp_path / "v", GOLD, LABELS) as process:
            assert (tmp_path / "v").stat().st_mode & 0o077 == 0, "its complaints may quote what it judges by"
            return await process.score("b", answer)

    if not isinstance(answer, (float, list, dict)):
        judged = asyncio.run(asked())
        assert (judged.reward, judged.failure) == (score.reward, score.failure)


def test_many_at_once_and_a_cancelled_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with VerifierProcess(tmp_path, GOLD, LABELS) as process:
            late = asyncio.create_task(process.score("a", "诈骗"))
            await asyncio.sleep(0)
            late.cancel()
            answers = [LABELS[index % 3] for index in range(60)]
            scores = await asyncio.gather(*(process.score("a", answer) for answer in answers))
            assert [score.detail["answer"] for score in scores] == answers
            assert sum(score.reward for score in scores) == 20
            process.check()

    asyncio.run(work())


def test_test_gold_is_nowhere_before_it_is_opened(tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / verifier.TEST_GOLD).write_text(json.dumps({"gold": {"t": SECRET}}))
        async with VerifierProcess(tmp_path, GOLD, LABELS[:1] + LABELS[2:]) as process:
            assert not any(f'"{SECRET}"' in path.read_text() for path in tmp_path.iterdir())
            with pytest.raises(VerifierFailed, match="before the test is opened") as refused:
                await process.score("t", SECRET)
            assert not isinstance(refused.value, VerifierDied)
            before = process.verifier_hash
            await process.open_test({"t": "盗窃"})
            assert (await process.score("t", "盗窃")).reward == 1
            os.kill(process.pid or 0, signal.SIGKILL)
            assert (await process.score("t", "盗窃")).reward == 1
            assert process.verifier_hash == before
            process.check()

    asyncio.run(work())


def test_hash_is_of_code_and_gold(tmp_path: Path) -> None:
    one, same = VerifierProcess(tmp_path / "1", GOLD, LABELS), VerifierProcess(tmp_path / "2", GOLD, LABELS)
    assert one.verifier_hash == same.verifier_hash
    assert one.verifier_hash != VerifierProcess(tmp_path / "1", {**GOLD, "a": "诈骗"}, LABELS).verifier_hash
    other = tmp_path / "other.py"
    other.write_text(CRASHES_ONCE)
    assert one.verifier_hash != VerifierProcess(tmp_path / "1", GOLD, LABELS, Judge(other)).verifier_hash


def test_alone_in_an_empty_environment(tmp_path: Path) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(
        PROTOCOL + "    seen = {k: v for k, v in os.environ.items() if k != 'LC_CTYPE'}\n"
        "    found = {'env': str(seen), 'flags': str(sys.flags.isolated), 'path': str(sys.path)}\n"
        "    print(json.dumps({'id': request['id'], 'score': {'reward': 0, 'failure': 'x', 'detail': found}}), flush=True)\n"
    )

    async def work() -> None:
        async with VerifierProcess(tmp_path / "v", GOLD, LABELS, Judge(spy)) as process:
            detail = (await process.score("a", "x")).detail
            assert (detail["env"], detail["flags"]) == ("{}", "1")
            assert "site-packages" not in detail["path"]

    asyncio.run(work())


def test_a_crash_is_survived_once(tmp_path: Path) -> None:
    source = tmp_path / "crashes.py"
    source.write_text(CRASHES_ONCE)

    async def work() -> None:
        async with VerifierProcess(tmp_path / "v", GOLD, LABELS, Judge(source)) as process:
            assert await process.score("a", "x") == Score(1.0, None)

    asyncio.run(work())


ENGINE = """
import asyncio, sys
from pathlib import Path
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.verifier import VerifierProcess
async def main(folder):
    async with VerifierProcess(folder / "v", {"a": "x"}, ("x",), Judge(folder / "hangs.py")) as process:
        await process.score("a", "x")
asyncio.run(main(Path(sys.argv[1])))
"""


async def test_one_that_hangs_dies_with_its_engine(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(f"{ALWAYS}    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(600)\n")
    engine = await asyncio.create_subprocess_exec(sys.executable, "-c", ENGINE, str(tmp_path), cwd=ROOT)
    async with asyncio.timeout(60):
        pid = await written(tmp_path / "v" / "pid")
        engine.kill()
        await gone(pid)
    await engine.wait()


LEAVES = """    import subprocess
    told = "sleep 600 & echo $! > pid" if not os.path.exists("pid") else "setsid sleep 600 & echo $! > away"
    subprocess.run(told, shell=True)
    time.sleep(600)
"""


async def test_what_a_hung_judge_left_behind_keeps_nobody_waiting(tmp_path: Path) -> None:
    """It holds the pipe open: what is still the judge's ends with it, what has left is not waited for."""
    (tmp_path / "leaves.py").write_text(ALWAYS + LEAVES)
    judge = Judge(tmp_path / "leaves.py", deadline_s=0.5)
    async with asyncio.timeout(60):
        async with VerifierProcess(tmp_path / "v", GOLD, LABELS, judge) as process:
            with pytest.raises(VerifierDied, match=r"within 0\.5 s"):
                await process.score("a", "盗窃")
        await gone((tmp_path / "v" / "pid").read_text().strip())
    os.kill(int((tmp_path / "v" / "away").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("    os._exit(3)\n", "ended with code 3"),
        ("    time.sleep(60)\n", "within 0.3 s"),
        ("    print('nonsense', flush=True)\n", "broke off"),
        ("    print('1', flush=True)\n", "other than an object"),
        ("    print('x' * 10**6, flush=True)\n", "broke off"),
        (
            "    print(json.dumps({'id': request['id'], 'score': {'reward': 2, 'failure': None}}), flush=True)\n",
            "range",
        ),
        ("    print(json.dumps({'id': request['id'], 'score': {'grade': 1}}), flush=True)\n", "malformed"),
    ],
)
def test_no_judgement_is_its_own_kind(tmp_path: Path, behaviour: str, message: str) -> None:
    source = tmp_path / "bad.py"
    source.write_text(ALWAYS + behaviour)
    deadline = 0.3 if "sleep" in behaviour else 20.0

    async def work() -> None:
        async with VerifierProcess(tmp_path / "v", GOLD, LABELS, Judge(source, deadline_s=deadline)) as process:
            with pytest.raises(VerifierFailed, match=message) as failed:
                await process.score("a", "盗窃")
            assert failed.value.score.failure == "verifier_failed"
            assert isinstance(failed.value, VerifierDied) == (message not in {"malformed", "range"})

    asyncio.run(work())
    tries = (tmp_path / "v" / "tries").read_text()
    assert tries == ("x" if message in {"malformed", "range"} else "xxxx")


def test_a_verifier_that_does_not_start(tmp_path: Path) -> None:
    source = tmp_path / "broken.py"
    source.write_text("import absent_module\n")

    async def work() -> None:
        with pytest.raises(VerifierFailed, match="ended with code 1"):
            async with VerifierProcess(tmp_path / "v", GOLD, LABELS, Judge(source)):
                pass

    asyncio.run(work())


@pytest.mark.parametrize("name", [verifier.CODE, verifier.GOLD, verifier.TEST_GOLD])
@pytest.mark.parametrize("harm", ["change", "remove", "link"])
def test_tampering_is_found(tmp_path: Path, name: str, harm: str) -> None:
    async def work() -> None:
        async with VerifierProcess(tmp_path, GOLD, LABELS) as process:
            await process.open_test({"t": "盗窃"})
            process.check()
            path, content = tmp_path / name, (tmp_path / name).read_bytes()
            path.unlink()
            if harm == "change":
                path.write_bytes(content.replace("盗窃".encode(), "诈骗".encode()) + b" ")
            elif harm == "link":
                (tmp_path / "copy").write_bytes(content)
                path.symlink_to(tmp_path / "copy")
            with pytest.raises(VerifierTampered, match="changed or removed"):
                process.check()
            os.kill(process.pid or 0, signal.SIGKILL)
            with pytest.raises(VerifierTampered):
                await process.score("a", "盗窃")
            assert process.pid is None

    asyncio.run(work())


class Bench:
    """A verifier that writes down in which order it is asked, and takes a while."""

    verifier_hash = ""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def score(self, case: str, answer: object) -> Score:
        self.asked.append(case)
        await asyncio.sleep(0)
        return Score(1.0, None)

    async def compiler_says(self, answer: str) -> str:
        self.asked.append(answer)
        return ""


async def test_a_question_to_the_compiler_does_not_stand_behind_the_answers(tmp_path: Path) -> None:
    pool, bench = VerifierPool(tmp_path, {}, (), [EXACT]), Bench()
    pool._all = cast(Any, [bench])
    async with pool:
        answers = [asyncio.create_task(pool.score(case, "x")) for case in "abcd"]
        await asyncio.sleep(0)
        await pool.compiler_says("question")
        await asyncio.gather(*answers)
    assert bench.asked == ["a", "question", "b", "c", "d"]
