"""The engine's side of serving: which base model a run has, and whose memory is released while a gate waits."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core.hardware import machine_named
from sia_tui.core.replicas import Serving
from sia_tui.core.state import State
from sia_tui.engine import hardware, policies, prepare, training
from sia_tui.engine.crew import Place
from sia_tui.engine.engine import Options, _Engine
from sia_tui.engine.policies import base_of
from sia_tui.engine.progress import Reporter
from sia_tui.engine.proof import NotAsTrained, probe_gap
from sia_tui.engine.serving import Watch
from sia_tui.engine.session import EngineError, Session, gpus_for_ray, serving
from sia_tui.engine.trainer import ALL_SERVE, TrainerDied, placed
from sia_tui.policy.client import Gateway
from sia_tui.policy.nano import recipe_hash
from sia_tui.policy.vllm_server import command
from sia_tui.policy.wire import Settings
from sia_tui.store.lock import Hold
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from sia_tui.store.writer import RunStore
from sia_tui.weights.protocol import Job, Probe
from tests.policy.tiny import make_model

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELD = Hold(Path("/nowhere/engine.lock"), -1)


@dataclass
class Quiet:
    """What an engine says, for nobody; it also says when it is asked to beat."""

    phases: list[str] = field(default_factory=list)

    def phase(self, name: str, total: int = 0) -> None:
        self.phases.append(name)

    def beat(self) -> None:
        pass


@dataclass
class Log:
    """The one thing the idle engine reads of the store: its state, by identity."""

    state: State = field(default_factory=State)


def session(root: Path, gateway: Gateway | None = None, **sections: Any) -> Session:
    config = RunConfig.model_validate({"task": {"name": "lawbench"}, **sections})
    stack, store = AsyncExitStack(), cast(Any, Log())
    made = Session(
        Workspace(root), cast(Any, None), config, store, cast(Any, Quiet()), cast(Any, None), cast(Any, None), "none",
        lambda: False, stack,
    )  # fmt: skip
    if gateway is not None:
        rest: dict[str, Any] = dict.fromkeys(Place.__dataclass_fields__)
        made._place = Place(**(rest | {"gateway": gateway}))
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One for all tests that leave it as they found it."""
    async with await Gateway.start(model, tmp_path_factory.mktemp("run"), lanes=1) as started:
        yield started


async def test_a_model_folder_is_the_base_and_its_digest_is_read_once(model: Path, tmp_path: Path) -> None:
    asked = session(tmp_path, policy={"kind": "model", "model": str(model)})
    with RunStore(tmp_path / "run.db") as store, closing(RunReader(tmp_path / "run.db")) as reader:
        asked.report = Reporter(store, print)
        base = await base_of(asked)
        told = reader.progress()
        assert told is not None and told.phase == "reading the policy's weights once, for their digest"
        asked.report.phase("another")
        assert await base_of(asked) == base and base.folder == model and base.told.startswith("tiny, ")
        told = reader.progress()
        assert told is not None and told.phase == "another"


async def test_a_model_that_is_not_here_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="house/none: neither a folder nor a model"):
        await base_of(session(tmp_path, policy={"kind": "model", "model": "house/none"}))


async def test_a_remote_model_is_its_name_and_address(tmp_path: Path) -> None:
    policy = {"kind": "model", "model": "m", "backend": "remote", "address": "http://127.0.0.1:1/v1"}
    asked = session(tmp_path, policy=policy, agents={"levers": ["harness"]})
    base = await base_of(asked)
    assert "harness lever only" in base.told and list(base.folder.iterdir()) == []
    other = session(tmp_path, policy=policy | {"model": "n"}, agents={"levers": ["harness"]})
    assert (await base_of(other)).sha256 != base.sha256
    settings = serving(asked.config)
    assert (settings["model"], settings["address"]) == ("m", "http://127.0.0.1:1/v1")


async def test_of_runs_that_want_the_same_nano_policy_one_trains_it(tmp_path: Path) -> None:
    asked = session(tmp_path)
    asked.task = cast(Any, SimpleNamespace(labels=("a", "b"), forms=None, rows=lambda view: []))
    folder = tmp_path / "policies" / f"nano-{recipe_hash(asked.config.policy.recipe, [], ['a', 'b'])}"
    folder.mkdir(parents=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = asyncio.create_task(base_of(asked))
        await asyncio.sleep(3 * policies.LOOK_S)
        assert not waiting.done()
        told = '{"parameters": 200000, "weights_sha256": "as the other trained it"}'
        (folder / "manifest.json").write_text(told)
    base = await asyncio.wait_for(waiting, 10)
    assert (base.sha256, base.folder) == ("as the other trained it", folder)
    assert cast(Quiet, asked.report).phases == ["waiting for another run, which trains the same nano policy"]


PLACED = {"weights": {"plan": {"serve_on": [4, 5], "train_on": [6]}}, "policy": {"backend": "vllm", "device": "cuda"}}


async def test_policy_and_trainer_see_the_gpus_that_the_plan_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = session(tmp_path, **PLACED).config
    settings = Settings(model_dir="m", sockets="s", lanes=1, **serving(config))
    assert settings.gpus == (4, 5) and settings.vllm.tensor_parallel == 2
    flags = dict(itertools.pairwise(command(settings, 128)))
    assert flags["--tensor-parallel-size"] == "2"
    plan = config.weights.plans(0)[0]
    job = Job(
        plan=plan, model=tmp_path, parent=None, cases=(), held_out=(), folder=tmp_path, out=tmp_path, device="cuda"
    )
    assert placed(job) == {"CUDA_VISIBLE_DEVICES": "6", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    anywhere = job.model_copy(update={"plan": replace(plan, train_on=())})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert placed(anywhere)["CUDA_VISIBLE_DEVICES"] == "0", "transformers would train a copy on each of several"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert placed(anywhere)["CUDA_VISIBLE_DEVICES"] == "3"
    assert placed(anywhere.model_copy(update={"device": "cpu"})) == {}
    several = anywhere.model_copy(update={"workers": 2})
    assert placed(several)["CUDA_VISIBLE_DEVICES"] == "3", "4 serves, and the others are not this engine's"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(hardware, "this_machine", lambda _: machine_named("H100x8"))
    with pytest.raises(TrainerDied, match="all GPUs serve the policy"):
        placed(several)
    far = several.model_copy(update={"cluster": "10.0.0.1:6379"})
    assert placed(far)["CUDA_VISIBLE_DEVICES"] == "", (
        "none of this machine's is left, and all would be named by no name"
    )


@pytest.mark.parametrize("named", ["-1", "0"])
async def test_without_a_gpu_none_serves_whatever_is_named(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(session(tmp_path, **PLACED).config.weights.plans(0)[0], serve_on=(), train_on=())
    job = Job(
        plan=plan,
        model=tmp_path,
        parent=None,
        cases=(),
        held_out=(),
        folder=tmp_path,
        out=tmp_path,
        device="cuda",
        workers=2,
    )
    monkeypatch.setattr(hardware, "this_machine", lambda _: replace(machine_named("H100"), gpus=0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert placed(job)["CUDA_VISIBLE_DEVICES"] == ""


async def test_replicas_share_the_gpus_that_serve_and_those_on_nodes_need_none_here(tmp_path: Path) -> None:
    config = session(tmp_path, **PLACED, cluster={"replicas": 2}).config
    settings = Settings(model_dir="m", sockets="s", lanes=1, **serving(config))
    assert (settings.replicas, settings.gpus, settings.vllm.tensor_parallel) == (2, (4, 5), 1)
    assert config.hash == session(tmp_path, **PLACED).config.hash
    far = session(tmp_path, **PLACED, cluster={"replicas": 8, "executor": "ray", "serve": "nodes"}).config
    settings = Settings(model_dir="m", sockets="s", lanes=1, **serving(far))
    assert (settings.replicas, settings.gpus, settings.vllm.tensor_parallel) == (1, (), 1)


async def test_a_ray_of_the_engines_own_gives_no_gpu_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5,6,7")
    assert gpus_for_ray(session(tmp_path, **PLACED).config) == "6,7"
    far = {"replicas": 2, "executor": "ray", "serve": "nodes"}
    assert gpus_for_ray(session(tmp_path, **PLACED, cluster=far).config) is None, "there it is Ray that has them all"
    vllm = {"policy": {"backend": "vllm", "device": "cuda"}, "weights": {"workers": 2}}
    asked = session(tmp_path, **vllm, cluster={"executor": "ray"})
    assert gpus_for_ray(asked.config) == "5,6,7" and training._held_twice(asked) == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    monkeypatch.setattr(training, "this_machine", lambda _: machine_named("H100x8"))
    assert training._held_twice(asked) == ALL_SERVE


async def test_several_processes_of_a_training_need_ray_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "find_spec", lambda name: None)
    weights = {"weights": {"workers": 2}}
    with pytest.raises(EngineError, match=r"weights\.workers: 2 needs Ray: pip install"):
        prepare.require_ray(session(tmp_path, **weights).config)
    prepare.require_ray(session(tmp_path, **weights, agents={"levers": ["harness"]}).config)
    prepare.require_ray(session(tmp_path).config)


async def test_what_happens_to_replicas_is_recorded_once() -> None:
    told = {
        "number": 0,
        "where": "GPU 0",
        "standing": "in",
        "rows": 3,
        "adapters": ["a", "b"],
        "tokens_per_second": 9.5,
    }
    out = {"count": 1, "replica": 1, "where": "GPU 1", "back": False, "why": "vllm hangs", "rows": 2, "left": 1}
    other = told | {"number": 1, "where": "GPU 1", "standing": "out", "adapters": []}
    health: dict[str, Any] = {"replicas": [told, other], "happened": [out]}
    recorded: list[ev.Event] = []

    async def say() -> dict[str, Any]:
        return health

    watch = Watch(cast(Any, SimpleNamespace(health=say)), recorded.append)
    await watch.look()
    await watch.look()
    health["happened"].append(out | {"count": 2, "back": True, "left": 2})
    await watch.look()
    assert recorded == [
        ev.ReplicasServe(("GPU 0", "GPU 1")),
        ev.ReplicaOut(1, "GPU 1", "vllm hangs", 2, 1),
        ev.ReplicaBack(1, "GPU 1", 2),
    ]
    assert watch.newest == (Serving(0, "GPU 0", "in", 3, "b", 9.5), Serving(1, "GPU 1", "out", 3, None, 9.5))


async def test_a_run_serves_in_one_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="serve_on differs between algorithms"):
        session(tmp_path, weights={"plan": {"serve_on": [0]}, "algorithms": {"dpo": {"serve_on": [1]}}})


async def test_no_call_is_given_up_before_its_episode_is(tmp_path: Path) -> None:
    """The harness would be told, and scored for it."""
    for deadline_s in (30.0, 3000.0):
        told = serving(session(tmp_path, harness={"deadline_s": deadline_s}).config)
        assert told["retry_s"] < deadline_s <= told["call_deadline_s"]


async def test_the_policy_sleeps_while_nobody_answers_and_is_awake_for_the_next_rollout(
    gateway: Gateway, model: Path, tmp_path: Path
) -> None:
    asked = session(tmp_path, gateway, gate={"release_s": 0.2})
    idle = asyncio.create_task(_Engine(asked, HELD, Options())._idle("waiting at gate-1"))
    async with asyncio.timeout(20):
        while (await gateway.health())["status"] != "asleep":  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
    cast(Any, asked.store).state = State()
    await idle
    place = await asked.place(model)
    assert (await place.gateway.health())["status"] == "ok"
    await gateway.open_lane(0, "e")
    await gateway.close_lane(0)


async def test_a_person_who_answers_soon_finds_the_policy_awake(gateway: Gateway, tmp_path: Path) -> None:
    asked = session(tmp_path, gateway)
    idle = asyncio.create_task(_Engine(asked, HELD, Options())._idle("waiting at gate-1"))
    await asyncio.sleep(0.7)
    cast(Any, asked.store).state = State()
    await idle
    assert (await gateway.health())["status"] == "ok"


async def test_a_gateway_that_dies_going_to_sleep_is_left_for_another(tmp_path: Path) -> None:
    nowhere: dict[str, Any] = {"backend": "remote", "address": "http://127.0.0.1:1/v1", "model": "tiny"}
    async with await Gateway.start(tmp_path, tmp_path, lanes=1, **nowhere) as gateway:
        asked = session(tmp_path, gateway)
        os.kill(gateway.pid, signal.SIGKILL)
        await asked.release()
        assert asked._place is None


async def test_a_policy_that_refuses_to_sleep_is_asked_once_and_keeps_what_it_holds(
    gateway: Gateway, tmp_path: Path
) -> None:
    asked, said = session(tmp_path, gateway), list[str]()
    asked.report = cast(Any, SimpleNamespace(say=said.append))
    await gateway.open_lane(0, "e")
    try:
        await asked.release()
        await asked.release()
    finally:
        await gateway.close_lane(0)
    assert len(said) == 1 and "cannot be released: 409" in said[0]
    assert (await gateway.health())["status"] == "ok"


async def test_the_proof_blocks_a_probe_that_is_a_hundredth_off(gateway: Gateway) -> None:
    with pytest.raises(NotAsTrained, match=r"differ by 0\.0100 nats \(at most 0\.001\)"):
        await probe_gap(gateway, None, [await slightly_off(gateway)])


async def test_the_proof_forgives_what_half_precision_rounds(model: Path, tmp_path: Path) -> None:
    async with await Gateway.start(model, tmp_path, lanes=1, dtype="bfloat16") as gateway:
        assert await probe_gap(gateway, None, [await slightly_off(gateway)]) == pytest.approx(0.01)


async def slightly_off(gateway: Gateway) -> Probe:
    """What the gateway answers greedily, every logprob a hundredth lower."""
    await gateway.open_lane(0, "e")
    await gateway.chat(0, [{"role": "user", "content": "hello"}], max_tokens=8)
    (call,) = await gateway.close_lane(0)
    return Probe(
        messages=({"role": "user", "content": "hello"},),
        prompt_ids=call.prompt_ids,
        completion_ids=call.completion_ids,
        logprobs=tuple(logprob - 0.01 for logprob in call.logprobs),
    )
