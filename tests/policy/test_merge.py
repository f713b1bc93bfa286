"""A merged model is its base with the adapter's matrices added: to the logit, to the shard, to the dtype."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sia_tui.policy.export import write_merged
from sia_tui.policy.merge import CannotMerge
from tests.policy.tiny import make_adapter, make_model

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def merged(adapter: Path, base: Path, out: Path) -> Path:
    out.mkdir()
    write_merged(adapter, base, out)
    return out


def logits(folder: Path, adapter: Path | None = None) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True)
    model = PeftModel.from_pretrained(model, str(adapter)) if adapter else model
    with torch.inference_mode():
        return model.eval()(input_ids=torch.arange(48).reshape(2, 24) + 30).logits.float()


@pytest.mark.parametrize(
    ("family", "dtype", "shard", "least"),
    [
        ("llama", "float32", "1GB", 1e-5),
        ("qwen3", "float32", "100KB", 1e-5),
        ("llama", "bfloat16", "100KB", 0.05),
        ("qwen3", "float16", "1GB", 5e-3),
    ],
)
def test_it_says_what_base_and_adapter_say(tmp_path: Path, family: str, dtype: str, shard: str, least: float) -> None:
    """Of what the adapter changes, no more than `least` is lost."""
    base = make_model(tmp_path / "base", family=family, dtype=dtype, shard=shard)
    adapter = make_adapter(base, tmp_path / "adapter", seed=3)
    before, wanted = logits(base), logits(base, adapter)
    out = merged(adapter, base, tmp_path / "out")
    lost = (logits(out) - wanted).norm() / (wanted - before).norm()
    print(f"{family} {dtype}: {float(lost):.1e} of the change is lost")
    assert lost < least
    assert json.loads((out / "config.json").read_text())["dtype"] == dtype


def test_only_shards_with_targets_are_other_ones(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", shard="100KB")
    adapter = make_adapter(base, tmp_path / "adapter", seed=3, targets=["down_proj"])
    (base / "consolidated.safetensors").write_bytes(b"the same weights in another layout")
    (base / "LICENSE").write_text("whose they are")
    out = merged(adapter, base, tmp_path / "out")
    index = json.loads((base / "model.safetensors.index.json").read_text())["weight_map"]
    holding = {shard for name, shard in index.items() if "down_proj" in name}
    differ = {path.name for path in out.iterdir() if path.read_bytes() != (base / path.name).read_bytes()}
    assert differ == holding and len(holding) < len(set(index.values())) > 3
    names = {path.name for path in base.iterdir()}
    assert {path.name for path in out.iterdir()} == names - {"consolidated.safetensors"}


def test_experts_in_four_bits_stay_as_they_are(tmp_path: Path) -> None:
    base = mxfp4(make_model(tmp_path / "base", family="gpt_oss", dtype="bfloat16", hidden=32, **EXPERTS))
    adapter = make_adapter(base, tmp_path / "adapter", seed=3, targets=ATTENTION)
    before, wanted = logits(base), logits(base, adapter)
    out = merged(adapter, base, tmp_path / "out")
    assert (logits(out) - wanted).norm() < 0.05 * (wanted - before).norm()
    assert json.loads((out / "config.json").read_text())["quantization_config"]["quant_method"] == "mxfp4"


EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}


def mxfp4(folder: Path) -> Path:
    """The experts as gpt-oss stores them: two numbers a byte, one scale for 32."""
    import torch
    from safetensors.torch import load_file, save_file

    weights, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    for name in [name for name in weights if name.endswith(("experts.down_proj", "experts.gate_up_proj"))]:
        experts, inputs, outputs = weights.pop(name).shape
        weights[f"{name}_blocks"] = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
        weights[f"{name}_scales"] = torch.full((experts, outputs, inputs // 32), 122, dtype=torch.uint8)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    kept = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": kept}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("merge") / "base", layers=1)


def test_adapters_of_experts_are_refused(tmp_path: Path) -> None:
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8}
    base = make_model(tmp_path / "base", family="qwen3_moe", hidden=32, layers=1, **experts)
    adapter = make_adapter(base, tmp_path / "adapter", seed=3, targets="all-linear")
    refused(adapter, base, tmp_path / "out", "the adapter changes experts' parameters")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"use_rslora": True}, r"not plain LoRA \(use_rslora\)"),
        ({"rank_pattern": {"q_proj": 2}}, r"not plain LoRA \(rank_pattern\)"),
        ({"bias": "lora_only"}, r"not plain LoRA \(bias\)"),
        ({"targets": ["embed_tokens"]}, r"not plain LoRA \(.*embed_tokens.*\)"),
    ],
)
def test_what_is_more_than_plain_lora_is_refused(base: Path, tmp_path: Path, fields: Any, said: str) -> None:
    refused(make_adapter(base, tmp_path / "adapter", seed=3, **fields), base, tmp_path / "out", said)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("packed", "is quantised: model.layers.0.self_attn.q_proj.weight is U8; export without --merge"),
        ("renamed", "stores no model.layers.0.self_attn.q_proj.weight"),
        ("wider", r"q_proj.weight is \(64, 65\), the adapter's \(64, 64\)"),
    ],
)
def test_a_base_that_is_stored_otherwise_is_refused(base: Path, tmp_path: Path, stored: str, said: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    adapter = make_adapter(base, tmp_path / "adapter", seed=3, targets=["q_proj"])
    weights, name = load_file(base / "model.safetensors"), "model.layers.0.self_attn.q_proj.weight"
    changed = {
        "packed": {name: torch.zeros(64, 32, dtype=torch.uint8)},
        "renamed": {f"{name}_packed": weights.pop(name)},
        "wider": {name: torch.zeros(64, 65)},
    }[stored]
    (tmp_path / "other").mkdir()
    save_file(weights | changed, tmp_path / "other" / "model.safetensors")
    refused(adapter, tmp_path / "other", tmp_path / "out", said)


def test_a_broken_adapter_is_refused(base: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    adapter = make_adapter(base, tmp_path / "adapter", seed=3, targets=["q_proj"])
    weights = load_file(adapter / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = torch.nan
    save_file(weights, adapter / "adapter_model.safetensors")
    with pytest.raises(CannotMerge, match="not finite"):
        merged(adapter, base, tmp_path / "out")


def refused(adapter: Path, base: Path, out: Path, said: str) -> None:
    """In one line, with what to do instead, before anything is written."""
    with pytest.raises(CannotMerge, match=said) as caught:
        merged(adapter, base, out)
    assert "export without --merge" in str(caught.value) and "\n" not in str(caught.value) and not list(out.iterdir())
