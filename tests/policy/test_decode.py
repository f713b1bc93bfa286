"""Sampling and the decoding loop in this process."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sia_tui.policy.rows import BackendError, Completion, Row
from tests.policy.conftest import Reference

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def backend(reference: Reference) -> object:
    from sia_tui.policy.hf import HF

    return HF(reference.folder, threads=1)


def generate(backend: object, rows: Sequence[Row], cancelled: Sequence[int] = ()) -> dict[int, Completion]:
    found: dict[int, Completion] = {}
    backend.generate(rows, found.__setitem__, lambda i: i in cancelled)  # type: ignore[attr-defined]
    return found


def row(reference: Reference, content: str, **fields: object) -> Row:
    return replace(Row(tuple(reference.prompt(content)), max_tokens=8, ignore_eos=True), **fields)  # type: ignore[arg-type]


def frequencies(rows: Row, logits: Sequence[float], count: int = 4000) -> list[float]:
    from sia_tui.policy.decode import Sampler

    draws = random.Random(5)
    table = torch.tensor([logits] * count)
    tokens, _ = Sampler([rows] * count, torch.device("cpu")).choose(table, [draws.random() for _ in range(count)])
    return [tokens.count(i) / count for i in range(len(logits))]


LOGITS = [1.0, 0.0, 2.0, -1.0, float("-inf")]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_samples_follow_the_distribution(temperature: float) -> None:
    expected = (torch.tensor(LOGITS) / temperature).softmax(-1).tolist()
    found = frequencies(Row((1,), 1, temperature=temperature), LOGITS)
    assert found == pytest.approx(expected, abs=0.03) and found[4] == 0


def test_top_p_and_top_k_cut_the_tail() -> None:
    assert frequencies(Row((1,), 1, top_p=0.1), LOGITS)[2] == 1
    assert frequencies(Row((1,), 1, top_k=1), LOGITS)[2] == 1
    two = frequencies(Row((1,), 1, top_p=0.8), LOGITS)
    assert two == pytest.approx([0.269, 0, 0.731, 0, 0], abs=0.03)
    assert frequencies(Row((1,), 1, top_k=2), LOGITS) == two
    assert frequencies(Row((1,), 1, temperature=0), LOGITS)[2] == 1


def test_rows_of_all_kinds_in_one_batch_equal_each_alone(backend: object, reference: Reference) -> None:
    rows = [
        row(reference, "one", temperature=0.0, max_tokens=3),
        row(reference, "the second is longer than the first", seed="a", max_tokens=20),
        row(reference, "one", seed="b", temperature=0.8, max_tokens=12),
        row(reference, "one", seed="c", top_p=0.9, max_tokens=1),
        row(reference, "one", seed="b", temperature=0.8, max_tokens=12),
        row(reference, "and a fourth one", seed="d", top_k=5, max_tokens=40, ignore_eos=False),
    ]
    together = generate(backend, rows)
    assert together[2] == together[4]
    for i, asked in enumerate(rows):
        (alone,) = generate(backend, [asked]).values()
        assert together[i].ids == alone.ids and together[i].finish_reason == alone.finish_reason
        assert together[i].logprobs == pytest.approx(alone.logprobs, abs=1e-4)
        expected = reference.logprobs(list(asked.prompt_ids), list(alone.ids))
        assert together[i].logprobs == pytest.approx(expected, abs=1e-4)


def test_cancelled_rows_vanish_and_the_others_stay_the_same(backend: object, reference: Reference) -> None:
    rows = [row(reference, "word " * (i + 1), seed=str(i)) for i in range(4)]
    whole = generate(backend, rows)
    rest = generate(backend, rows, cancelled=[1, 2])
    assert sorted(rest) == [0, 3] and rest[0].ids == whole[0].ids and rest[3].ids == whole[3].ids


def test_unseeded_rows_differ(backend: object, reference: Reference) -> None:
    found = generate(backend, [row(reference, "same") for _ in range(4)])
    assert len({completion.ids for completion in found.values()}) == 4


def test_adapters_that_do_not_fit_are_undone(backend: object, reference: Reference, tmp_path_factory: object) -> None:
    from tests.policy.tiny import make_adapter, make_model

    root = tmp_path_factory.mktemp("other")  # type: ignore[attr-defined]
    wide = make_model(root / "wide", hidden=96)
    adapter = make_adapter(wide, root / "adapter", seed=0)
    before = generate(backend, [row(reference, "x", temperature=0.0)])
    with pytest.raises(BackendError, match="does not fit"):
        backend.load_adapter("wide", str(adapter))  # type: ignore[attr-defined]
    assert generate(backend, [row(reference, "x", temperature=0.0)]) == before
    with pytest.raises(BackendError, match="not loaded"):
        generate(backend, [row(reference, "x", adapter="wide")])
    backend.load_adapter("red", str(reference.adapters["red"]))  # type: ignore[attr-defined]
    assert generate(backend, [row(reference, "x", temperature=0.0)]) == before
    backend.unload_adapter("red")  # type: ignore[attr-defined]
    assert generate(backend, [row(reference, "x", temperature=0.0)]) == before


def test_whatever_lies_in_an_adapters_folder_is_refused_in_one_line(
    backend: object, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import json

    from safetensors.torch import load_file, save

    draws, sound = random.Random(7), reference.adapters["red"]
    whole, told = (
        (sound / "adapter_model.safetensors").read_bytes(),
        json.loads((sound / "adapter_config.json").read_text()),
    )
    weights = load_file(sound / "adapter_model.safetensors")
    first = next(iter(weights))
    cut = [whole[: draws.randrange(len(whole))] for _ in range(3)]
    odd = [b"", b"\xff" * 8, b"{}" * 9, whole + b"x", save({**weights, first: weights[first][:1, :-1].contiguous()})]
    settings = [*({key: value} for key in ("r", "lora_alpha", "target_modules") for value in ("x", -1, [], None))]
    before = generate(backend, [row(reference, "x", temperature=0.0)])
    for number, (content, change) in enumerate([*((one, {}) for one in [*cut, *odd]), *((whole, s) for s in settings)]):
        folder = tmp_path_factory.mktemp("odd")
        (folder / "adapter_model.safetensors").write_bytes(content)
        (folder / "adapter_config.json").write_text(json.dumps({**told, **change}))
        name = f"odd-{number}"
        try:
            backend.load_adapter(name, str(folder))  # type: ignore[attr-defined]
            backend.unload_adapter(name)  # type: ignore[attr-defined]
            assert change, number
        except BackendError as refused:
            assert "\n" not in str(refused)
    assert generate(backend, [row(reference, "x", temperature=0.0)]) == before
