"""The nano policy at a size that trains in seconds."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sia_tui.policy import nano
from sia_tui.policy.nano_forms import LETTERS, Example, examples

TINY = nano.NanoRecipe(hidden=32, layers=1, heads=2, vocab=400, steps=6, batch=4, excerpt=40, threads=1)
ANSWERS = ["盗窃", "诈骗", "[窝藏、包庇]", "交通肇事"]
WORDS = ("被告人", "某某", "到案", "后", "如实", "供述", "于", "夜间", "进入", "住宅", "，", "。", "A公司", "2015年")


def texts(count: int = 60) -> list[str]:
    rng = Random(1)
    return ["".join(rng.choices(WORDS, k=30)) for _ in range(count)]


def trained(folder: Path, recipe: nano.NanoRecipe = TINY) -> dict[str, Any]:
    return nano.train(recipe, texts(), ANSWERS, folder, lambda done, total, loss: None)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nano") / "base"
    trained(folder)
    return folder


def test_same_seed_same_weights(base: Path, tmp_path: Path) -> None:
    manifest = json.loads((base / "manifest.json").read_text())
    assert trained(tmp_path / "again")["weights_sha256"] == manifest["weights_sha256"]
    other = trained(tmp_path / "other", TINY.model_copy(update={"seed": 1}))
    assert other["weights_sha256"] != manifest["weights_sha256"]
    assert manifest["recipe_hash"] == nano.recipe_hash(TINY, texts(), ANSWERS)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_hash_names_everything_that_counts() -> None:
    known = nano.recipe_hash(TINY, texts(), ANSWERS)
    assert known != nano.recipe_hash(nano.NanoRecipe(steps=2), texts(), ANSWERS)
    assert known != nano.recipe_hash(TINY, texts(59), ANSWERS)
    assert known != nano.recipe_hash(TINY, texts(), ANSWERS[:3])


def test_template_and_tokens(base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    for example in examples(Random(2), texts(), ANSWERS, 20, 40):
        messages = [{"role": "user", "content": example.user}]
        messages = [{"role": "system", "content": example.system}] * bool(example.system) + messages
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert prompt == nano.render(example)
        ids = tokenizer(example.user)["input_ids"]
        assert tokenizer.decode(ids) == example.user
    assert tokenizer.padding_side == "left"
    assert len({tuple(tokenizer.encode(letter)) for letter in LETTERS}) == len(LETTERS)
    assert all(len(tokenizer.encode(letter)) == 1 for letter in LETTERS)
    assert tokenizer.encode("选B。")[-2] == tokenizer.encode("B")[0]


def test_base_loads_and_writes(base: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    prompt = tokenizer(nano.render(Example("", "事实：被告人\n罪名：", "")), return_tensors="pt")
    written = model.generate(**prompt, max_new_tokens=3, do_sample=False)
    assert prompt["input_ids"].shape[1] < written.shape[1] <= prompt["input_ids"].shape[1] + 3


def test_job_prints_its_progress(tmp_path: Path) -> None:
    texts_file, answers_file, job = tmp_path / "texts.jsonl", tmp_path / "answers.json", tmp_path / "job.json"
    texts_file.write_text("\n".join(json.dumps(text) for text in texts()), encoding="utf-8")
    answers_file.write_text(json.dumps(ANSWERS), encoding="utf-8")
    paths = {"texts_file": str(texts_file), "answers_file": str(answers_file), "out_dir": str(tmp_path / "out")}
    job.write_text(json.dumps({"recipe": TINY.model_dump(), **paths}))
    command = [sys.executable, "-m", "sia_tui.policy.nano", "--job", str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["done"], last["total"]) == (6, 6) and last["loss"] > 0
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_forms_know_nothing_of_the_case() -> None:
    chosen = [
        example.answer for example in examples(Random(3), ["甲", "乙"], ANSWERS, 4000, 40) if "\nB" in example.user
    ]
    bare = [answer for answer in chosen if answer in ("A", "B")]
    assert 0.4 < bare.count("A") / len(bare) < 0.6


def test_importing_costs_nothing() -> None:
    code = "import sys, sia_tui.policy.nano; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
