"""Runs whose policy is a Hugging Face model: its folder or its hub id goes along by name, whoever served it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sia_tui.cli import answering
from sia_tui.policy import base as models
from tests.cli.exported import Shop, with_model
from tests.cli.test_export import export, logits, plain, stored
from tests.policy import fake_vllm

pytestmark = pytest.mark.xdist_group("export")
FAR = "house/tiny"
"""A hub id."""


@pytest.fixture(scope="module")
def sharded(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The nano model's weights as any model's: in shards, in a folder somewhere."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    plain(shop.base).save_pretrained(folder, max_shard_size="60KB")
    for pattern in ("tokenizer*", "*.jinja"):
        for path in shop.base.glob(pattern):
            shutil.copy(path, folder)
    assert len(list(folder.glob("*.safetensors"))) >= 2
    return with_model(shop, "sharded", folder)


@pytest.fixture
def cache(sharded: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache that has the model."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    repository = tmp_path / "cache" / "models--house--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    return Path(shutil.copytree(sharded.base, repository / "snapshots" / ("0" * 40)))


def served(sharded: Shop) -> Any:
    from peft import PeftModel

    return logits(PeftModel.from_pretrained(plain(sharded.base), str(sharded.adapter)))


def test_a_sharded_base_is_named_and_merged_whoever_served_it(sharded: Shop, tmp_path: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM

    with_model(sharded, "by-vllm", sharded.base, backend="vllm", vllm={"python": "/none/python"}, context=100)
    assert export(sharded, tmp_path / "hf", "--hf", run="by-vllm") == 0
    assert torch.equal(logits(AutoPeftModelForCausalLM.from_pretrained(str(tmp_path / "hf"))), served(sharded))
    assert f"vllm serve {sharded.base} --enable-lora" in (tmp_path / "hf" / "README.md").read_text()
    assert export(sharded, tmp_path / "merged", "--hf", "--merge", run="by-vllm") == 0
    assert torch.allclose(logits(plain(tmp_path / "merged")), served(sharded), atol=1e-4)


def test_a_model_of_the_hubs_cache_goes_by_its_id(sharded: Shop, cache: Path, tmp_path: Path) -> None:
    import torch

    hub = with_model(sharded, "hub", cache)
    run = yaml.safe_load(hub.run.config.read_text())
    run["policy"]["model"] = FAR
    hub.run.config.write_text(yaml.safe_dump(run))
    assert export(sharded, tmp_path / "hf", "--hf", run="hub") == 0
    assert json.loads((tmp_path / "hf" / "adapter_config.json").read_text())["base_model_name_or_path"] == FAR
    assert export(sharded, tmp_path / "merged", "--hf", "--merge", run="hub") == 0
    assert torch.allclose(logits(plain(tmp_path / "merged")), served(sharded), atol=1e-4)
    assert not any(path.is_symlink() for path in (tmp_path / "merged").iterdir())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("moved", "neither a folder nor a model in the local Hugging Face cache"),
        ("changed", "is not the base model that the run began with"),
        ("quantised", "is quantised: model.layers.0.self_attn.q_proj.weight is I8; export without --merge"),
        ("remote", "answers at http://127.0.0.1:1/v1: its weights are not here to export"),
    ],
)
def test_what_cannot_be_taken_out_is_one_line_and_leaves_nothing(
    sharded: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, said: str
) -> None:
    base = Path(shutil.copytree(sharded.base, tmp_path / "base"))
    if model == "quantised":
        quantise(base)
    remote = {"backend": "remote", "address": "http://127.0.0.1:1/v1"} if model == "remote" else {}
    with_model(sharded, model, base, **remote)
    if model == "moved":
        base.rename(tmp_path / "elsewhere")
    elif model == "changed":
        (base / "generation_config.json").write_text("{}")
    before = set(tmp_path.iterdir())
    assert export(sharded, tmp_path / "out", "--hf", "--merge", run=model) == 1
    err = capsys.readouterr().err.splitlines()
    assert (
        said in err[-1] and all("for their digest" in line for line in err[:-1]) and set(tmp_path.iterdir()) == before
    )


def quantise(base: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    name = "model.layers.0.self_attn.q_proj.weight"
    shard = base / json.loads((base / models.INDEX).read_text())["weight_map"][name]
    weights = load_file(shard)
    save_file(weights | {name: weights[name].to(torch.int8)}, shard)


@pytest.fixture
def bundle(sharded: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Without its base, which is too large for it."""
    monkeypatch.setattr("sia_tui.engine.bundle.LARGEST_MODEL", 1000)
    monkeypatch.delenv("SIA_WORKSPACE", raising=False)
    assert export(sharded, tmp_path / "bundle", "--bundle", run="sharded") == 0
    assert not (tmp_path / "bundle" / "model").exists()
    return tmp_path / "bundle"


def ask(bundle: Path, capsys: pytest.CaptureFixture[str], text: str, *arguments: str) -> str:
    capsys.readouterr()
    assert answering.main(bundle, [text, *arguments]) == 0, capsys.readouterr().err
    (line,) = capsys.readouterr().out.splitlines()
    return str(json.loads(line)["answer"])


def test_a_bundle_finds_a_large_base_by_its_name_and_answers_as_the_run_did(
    shop: Shop, bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = stored(shop)[:3]
    lines = "".join(json.dumps({"id": attempt.case.id, **attempt.case.inputs}) + "\n" for attempt in attempts)
    monkeypatch.setattr(sys, "stdin", lines.splitlines())
    capsys.readouterr()
    assert answering.main(bundle, []) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["error"] for answer in told] == [None] * 3
    assert [without_id(answer["answer"]) for answer in told] == [without_id(attempt.answer) for attempt in attempts]


def without_id(answer: object) -> str:
    """A harness reads every case under another id in every generation."""
    return re.sub("[0-9a-f]{16}", "", str(answer))


def test_a_bundle_says_which_base_is_missing(
    sharded: Shop, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = sharded.base.rename(tmp_path / "away")
    try:
        assert answering.main(bundle, ["a text"]) == 2
        said = capsys.readouterr().err
        assert f"this bundle comes without its base model. policy.model {sharded.base}: neither a folder nor" in said
        assert "or name the base model's folder with --model (see README.md)\n" in said and said.count("\n") == 1
        other = Path(shutil.copytree(away, tmp_path / "other"))
        (other / "config.json").write_text("{}")
        assert answering.main(bundle, ["a text", "--model", str(other)]) == 1
        assert "is not the base model of this agent" in capsys.readouterr().err
    finally:
        away.rename(sharded.base)


def test_a_bundle_is_served_as_this_machine_can(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {fake_vllm.__file__} "$@"\n')
    python.chmod(0o755)
    override = ["--set", "policy.backend=vllm", "--set", f"policy.vllm.python={python}"]
    assert ask(bundle, capsys, "a text", *override).startswith("said ")
    assert "by hf on cpu, in float32" in (bundle / "README.md").read_text()
