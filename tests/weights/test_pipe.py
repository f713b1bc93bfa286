"""The pipe and what is sealed into checkpoints, without a trainer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sia_tui.weights import progress
from sia_tui.weights.pipe import Pipe
from sia_tui.weights.protocol import Job, Need, Rollout, SampledCall, Told
from sia_tui.weights.stopping import Look
from tests.weights.bandit import job, plan


class Ends:
    """A pipe in this process, and the engine's end of it."""

    def __init__(self) -> None:
        told, self._tell = os.pipe()
        hear, said = os.pipe()
        self.pipe = Pipe(os.fdopen(told, "rb"), os.fdopen(said, "wb"))
        self._hear = os.fdopen(hear, "rb")

    def asked(self) -> Need:
        return Need.model_validate_json(self._hear.readline())

    def tell(self, line: Told) -> None:
        os.write(self._tell, line.model_dump_json().encode() + b"\n")


def rollout(case: str, **changes: Any) -> Rollout:
    call = SampledCall(messages=(), prompt_ids=(1,), completion_ids=(2, 3), logprobs=(-1.0, -2.0))
    return Rollout(case=case, sample=0, reward=1.0, solved=True, calls=(call.model_copy(update=changes),))


def test_a_question_is_answered_by_its_own_answer() -> None:
    ends = Ends()
    for number in range(2):
        asked = ends.pipe.ask("train", ["a", "b"], samples=1, adapter=None, step=4)
        assert ends.asked().id == asked == number
        ends.tell(Told(id=asked, rollouts=(rollout("a"), rollout("b"))))
        assert [told.case for told in ends.pipe.answer(asked)] == ["a", "b"]


def test_a_wish_to_stop_is_heard_while_no_question_is_out() -> None:
    ends = Ends()
    ends.tell(Told(id=-1, rollouts=(), stop="ended early by ana"))
    asked = ends.pipe.ask("train", ["a"], samples=1, adapter=None, step=0)
    ends.tell(Told(id=asked, rollouts=(rollout("a"),)))
    assert len(ends.pipe.answer(asked)) == 1 and ends.pipe.stop == "ended early by ana"


@pytest.mark.parametrize(
    "told",
    [
        Told(id=7, rollouts=(rollout("a"),)),
        Told(id=0, rollouts=(rollout("b"),)),
        Told(id=0, rollouts=(rollout("a"), rollout("a"))),
        Told(id=0, rollouts=(rollout("a", logprobs=(-1.0,)),)),
    ],
)
def test_an_answer_to_something_else_is_refused(told: Told) -> None:
    ends = Ends()
    asked = ends.pipe.ask("train", ["a"], samples=1, adapter=None, step=0)
    ends.tell(told)
    with pytest.raises(ValueError, match=r"question \d"):
        ends.pipe.answer(asked)


def checkpoint(asked: Job, step: int, name: str = "optimizer.safetensors") -> Path:
    folder = asked.checkpoints / f"checkpoint-{step}"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"state")
    state = progress.fresh(asked)
    state.looks.append(Look(step, 0.5))
    progress.seal(folder, state)
    return folder


def test_the_newest_whole_checkpoint_of_the_same_job_is_taken(tmp_path: Path) -> None:
    asked = job(tmp_path / "model", tmp_path, plan())
    folders = {step: checkpoint(asked, step) for step in (2, 10, 12, 14)}
    (folders[14] / "seal.json").unlink()
    (folders[12] / "optimizer.safetensors").write_bytes(b"sta")
    found = progress.resume(asked)
    assert found is not None
    assert found[0] == folders[10] and found[1].looks == [Look(10, 0.5)]
    assert not folders[14].exists() and not folders[12].exists() and folders[2].exists()
    moved = asked.model_copy(update={"out": tmp_path / "elsewhere", "threads": 2})
    assert progress.resume(moved) is not None
    assert progress.resume(job(tmp_path / "model", tmp_path, plan(seed=1))) is None
    assert not list(asked.checkpoints.iterdir())


@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth", "reference/adapter_model.bin"])
def test_it_begins_anew_and_says_so_where_a_checkpoint_holds_a_pickle(name: str, tmp_path: Path) -> None:
    asked, said = job(tmp_path / "model", tmp_path, plan()), list[str]()
    for step in (2, 4):
        checkpoint(asked, step, name)
    assert progress.resume(asked, said.append) is None and not list(asked.checkpoints.iterdir())
    assert said == [progress.PICKLED]
    new = checkpoint(asked, 6)
    assert (found := progress.resume(asked, said.append)) is not None and found[0] == new and len(said) == 1


def test_the_digest_of_the_data_depends_on_its_order(tmp_path: Path) -> None:
    states = [progress.fresh(job(tmp_path, tmp_path, plan())) for _ in range(3)]
    first, second = rollout("a"), rollout("a", completion_ids=(9, 9))
    states[0].learned([first, second])
    states[1].learned([second, first])
    assert len({state.data for state in states}) == 3
    states[2].learned([])
    assert states[2].data == ""


def test_a_few_distinct_prompts_are_kept(tmp_path: Path) -> None:
    state = progress.fresh(job(tmp_path, tmp_path, plan()))
    state.met([rollout("a", prompt_ids=(number // 2,)) for number in range(20)])
    assert [prompt.prompt_ids for prompt in state.prompts] == [(0,), (1,), (2,), (3,)]
