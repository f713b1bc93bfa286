"""What leaves a workspace is loaded by those it is for: PEFT, transformers, and a bundle's own command."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cli import answering
from sia_tui.cli.answering import Misasked, read_cases
from sia_tui.cli.main import main
from sia_tui.core.episodes import Attempt
from sia_tui.core.events import GenerationCreated
from sia_tui.core.state import State
from sia_tui.engine.card import adapter_card
from sia_tui.engine.export import Source
from sia_tui.policy.adapters import adapter_hash
from sia_tui.store import lock
from sia_tui.store.lock import hold
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from sia_tui.store.writer import RunStore
from tests.cli.exported import PARENT, Shop
from tests.tui.runs import make_run
from tests.tui.writer import HOSTILE

pytestmark = pytest.mark.xdist_group("export")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def alone(shop: Shop, tmp_path: Path) -> Shop:
    """A copy to be damaged."""
    shutil.copytree(shop.workspace.root, tmp_path / "copy", symlinks=True)
    moved = Workspace(tmp_path / "copy")
    run = moved.run("real")
    return Shop(moved, run, moved.root / "policies" / shop.base.name, run.adapter(adapter_hash(shop.adapter)))


def export(shop: Shop, out: Path, *arguments: str, generation: str = "g0", run: str = "real") -> int:
    return main(["export", run, generation, *arguments, "--out", str(out), "--workspace", str(shop.workspace.root)])


def state_of(shop: Shop) -> State:
    reader = RunReader(shop.run.db)
    try:
        return reader.state()
    finally:
        reader.close()


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model.eval()(input_ids=torch.arange(48).reshape(2, 24) + 30).logits


@pytest.fixture
def served(shop: Shop) -> Any:
    """What the run's own adapter says on the run's own base."""
    from peft import PeftModel

    return logits(PeftModel.from_pretrained(plain(shop.base), str(shop.adapter)))


def plain(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)


def test_peft_loads_an_adapter_by_the_base_it_names(shop: Shop, served: Any, tmp_path: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM, PeftModel
    from transformers import AutoTokenizer

    out = tmp_path / "hf"
    assert export(shop, out, "--hf") == 0
    assert torch.equal(logits(AutoPeftModelForCausalLM.from_pretrained(str(out))), served)
    assert torch.equal(logits(PeftModel.from_pretrained(plain(shop.base), str(out))), served)
    assert not torch.allclose(logits(plain(shop.base)), served, atol=1e-2)
    said = "盗窃 he said"
    mine, theirs = (AutoTokenizer.from_pretrained(folder, local_files_only=True) for folder in (out, shop.base))
    assert mine(said)["input_ids"] == theirs(said)["input_ids"] and mine.chat_template == theirs.chat_template


def test_a_merged_model_says_what_the_adapter_says(shop: Shop, served: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    out = tmp_path / "merged"
    assert export(shop, out, "--hf", "--merge") == 0
    assert torch.allclose(logits(plain(out)), served, atol=1e-4)
    assert not (out / "adapter_config.json").exists()
    assert AutoTokenizer.from_pretrained(out, local_files_only=True).chat_template


def test_a_generation_without_adapter_has_only_its_base_to_give(
    alone: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    without_adapter(alone)
    assert export(alone, tmp_path / "hf", "--hf", generation="g1") == 2
    assert capsys.readouterr().err == ("sia-tui: g1 of real has no adapter; --hf --merge exports its base model\n")
    assert export(alone, tmp_path / "base", "--hf", "--merge", generation="g1") == 0
    assert torch.equal(logits(plain(tmp_path / "base")), logits(plain(alone.base)))
    assert "The base model as it is." in (tmp_path / "base" / "README.md").read_text()


def without_adapter(shop: Shop) -> None:
    first = state_of(shop).generations[0]
    with RunStore(shop.run.db) as store:
        store.record(GenerationCreated(1, None, first.commit, first.tree, "k" * 64))


def test_the_card_tells_what_it_is(shop: Shop, tmp_path: Path) -> None:
    export(shop, tmp_path / "hf", "--hf")
    state, card = state_of(shop), (tmp_path / "hf" / "README.md").read_text("utf-8")
    dev = state.generations[0].results["dev"]
    assert state.policy_ready is not None and dev.n > 10
    for said in (
        "# real-g0\n",
        "rank 4, alpha 8",
        "--max-lora-rank 8 ",
        f"ci95 {100 * dev.lo:.1f} % to {100 * dev.hi:.1f} %, {dev.n} cases",
        f"sha256 {state.policy_ready.sha256}",
        f"sha256 {adapter_hash(shop.adapter)}",
        "license: unknown",
        f"before this run was branched from {PARENT}",
    ):
        assert said in card, said


def test_the_card_tells_the_plan_and_nothing_untrusted_as_markup(shop: Shop, tmp_path: Path) -> None:
    reader = RunReader(make_run(tmp_path / "told", "done").db)
    state = reader.state()
    reader.close()
    trained = next(generation for generation in state.generations if generation.adapter)
    card = adapter_card(Source(state, trained, shop.base, str(shop.base), shop.adapter))
    plan = json.loads(card.split("```json\n")[1].split("```")[0])
    assert plan["algorithm"] == "grpo" and plan["learning_rate"] == 4e-5 and "Trained by grpo on 4080 rollouts" in card
    worse = next(generation for generation in state.generations if generation.kept is False)
    title = next(step.proposal.title for step in state.steps if step.generation == worse.index)
    assert HOSTILE in title and "\x1b" not in adapter_card(
        Source(state, worse, shop.base, str(shop.base), shop.adapter)
    )


@pytest.mark.parametrize(
    ("arguments", "generation", "said"),
    [
        (["--hf"], "g7", "real has no generation g7; there are: g0 … g0"),
        (["--bundle", "--merge"], "g0", "--merge goes with --hf"),
        (["--hf"], "newest", "real has no generation newest"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], generation: str, said: str
) -> None:
    assert export(shop, tmp_path / "out", *arguments, generation=generation) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and out == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", [["--hf"], ["--hf", "--merge"], ["--bundle"]])
def test_what_is_there_is_never_overwritten(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: Sequence[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("out", "link"):
        assert export(shop, tmp_path / name, *form) == 2
        assert "is there already; choose another place" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir()) and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damaged", ["adapter", "base", "lost", "commit"])
def test_what_is_not_what_was_measured_is_refused(
    alone: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: str
) -> None:
    if damaged == "lost":
        shutil.rmtree(alone.adapter)
    elif damaged == "commit":
        without_adapter(alone)
    else:
        weights = alone.base / "model.safetensors" if damaged == "base" else alone.adapter / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    said = {
        "adapter": "is not the adapter that was measured",
        "base": "is damaged",
        "lost": "adapter_config.json is missing",
        "commit": "is not the generation that was measured",
    }[damaged]
    out = tmp_path / "out" / "bundle"
    assert export(alone, out, "--bundle", generation="g1" if damaged == "commit" else "g0") == 1
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and not list(out.parent.glob("*"))


def test_an_engine_at_work_is_no_hindrance(shop: Shop, tmp_path: Path) -> None:
    before = shop.run.db.read_bytes()
    with hold(shop.run.lock):
        assert export(shop, tmp_path / "hf", "--hf") == 0
        assert export(shop, tmp_path / "bundle", "--bundle") == 0
    assert shop.run.db.read_bytes() == before


def test_an_adapter_leaves_without_torch(shop: Shop, tmp_path: Path) -> None:
    arguments = ["export", "real", "g0", "--hf", "--out", str(tmp_path / "hf"), "--workspace", str(shop.workspace.root)]
    code = (
        f"import sys; from sia_tui.cli.main import main; code = main({arguments!r});"
        "sys.exit(code or bool({'torch', 'transformers', 'peft', 'sklearn', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.fixture(scope="module")
def bundle(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("elsewhere") / "bundle"
    assert export(shop, out, "--bundle") == 0
    return out


@contextmanager
def away(shop: Shop) -> Iterator[None]:
    """The workspace is not there for a while."""
    hidden = shop.workspace.root.rename(shop.workspace.root.with_name("away"))
    try:
        yield
    finally:
        hidden.rename(shop.workspace.root)


def ask(bundle: Path, lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "SIA_WORKSPACE"}
    return subprocess.run(
        [sys.executable, str(bundle / "run.py"), *arguments],
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=bundle.parent,
        env=environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def stored(shop: Shop) -> list[Attempt]:
    """What the run recorded on dev."""
    reader = RunReader(shop.run.db)
    try:
        return [attempt for _, attempt, _ in reader.trajectories(reader.state().generations[0].key, "dev")]
    finally:
        reader.close()


def test_a_bundle_answers_as_the_run_did(shop: Shop, bundle: Path) -> None:
    attempts = stored(shop)
    lines = [json.dumps({"id": attempt.case.id, **attempt.case.inputs}) for attempt in attempts]
    with away(shop):
        asked = ask(bundle, "\n".join([*lines, "", lines[0]]))
    assert asked.returncode == 0, asked.stderr
    told = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [(answer["id"], answer["answer"]) for answer in told] == [
        (attempt.case.id, attempt.answer) for attempt in [*attempts, attempts[0]]
    ]
    assert len({attempt.answer for attempt in attempts}) == len(attempts) > 10
    assert all((answer["source"], answer["calls"], answer["error"]) == ("policy", 1, None) for answer in told)


def test_a_bundle_in_one_file_holds_what_was_said(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "agent.tar.gz"
    assert export(shop, out, "--bundle", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(out) and told["adapter"] == adapter_hash(shop.adapter) and told["form"] == "bundle"
    with tarfile.open(out) as tar:
        tar.extractall(tmp_path / "un", filter="data")
    files = {str(path.relative_to(tmp_path / "un" / "agent")): path for path in (tmp_path / "un").rglob("*.*")}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == told["files"]
    assert export(shop, out, "--bundle") == 2 and len(list(tmp_path.iterdir())) == 2


def test_a_bundle_takes_no_other_model(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copytree(bundle / "model", tmp_path / "model")
    (other / "model.safetensors").write_bytes(b"something else")
    capsys.readouterr()
    assert answering.main(bundle, ["a text", "--model", str(other)]) == 1
    out, err = capsys.readouterr()
    assert "is not the base model of this agent" in err and err.count("\n") == 1 and not out


def test_a_bundle_does_not_answer_where_a_gc_deletes(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "USE_S", 0.0)
    with lock.using(tmp_path, "sia-tui gc", alone=True):
        assert answering.main(bundle, ["a text", "--workspace", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "is being cleared by sia-tui gc (pid" in err and err.count("\n") == 1 and not out


def test_a_large_base_model_stays_and_is_asked_for(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sia_tui.engine.bundle.LARGEST_MODEL", 1000)
    assert export(shop, tmp_path / "bundle", "--bundle") == 0
    assert not (tmp_path / "bundle" / "model").exists()
    assert f"it is looked for as `{shop.base}`, where" in (tmp_path / "bundle" / "README.md").read_text("utf-8")
    assert answering.main(tmp_path / "bundle", ["a text"]) == 2
    assert "name its folder with --model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("text", "line 1 is no case"),
        ('\n{"text": "a"}\n[1]', "line 3 is no case (not an object)"),
        ('{"id": "a"}', "line 1 is no case (its fields must be texts)"),
        ('{"text": 3}', "line 1 is no case (its fields must be texts)"),
        ('{"id": "a", "text": "b"}\n{"id": "a", "text": "c"}', "line 2: another case has the id a"),
    ],
)
def test_what_is_no_case_is_named_by_its_line(lines: str, said: str) -> None:
    with pytest.raises(Misasked) as refused:
        read_cases(lines.split("\n"))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_the_same_text_is_the_same_case() -> None:
    one, other, again = read_cases(['{"text": "a"}', '{"text": "b"}', '{"text": "a"}'])
    assert one == again != other and one.id != other.id
