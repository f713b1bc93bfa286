"""Whatever comes from outside is taken or refused in one line, and nothing is changed by what is refused."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from sia_tui.cli.main import VERBS, main
from sia_tui.cli.verbs import parser
from sia_tui.config import ConfigError, RunConfig, load_config
from sia_tui.config.user import load_user
from sia_tui.core.hunks import hunks, partial
from sia_tui.core.text import clean
from sia_tui.harness.repository import HarnessRepository, PatchFailed
from sia_tui.policy import remote, wire
from sia_tui.store.reader import RunReader
from sia_tui.tasks import own
from sia_tui.tasks.task import TaskError
from tests.tui.runs import make_run

ROOT = Path(__file__).parents[1]

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    (key, name)
    for key, section in sorted(RunConfig.model_fields.items())
    for name in sorted(getattr(section.annotation, "model_fields", {})) or [""]
]
"""Every key of a config, with its own: of those that have none, itself."""
ODD_YAML = (
    "a: 2026-99-99",
    "? [a]\n: b",
    "? {a: b}\n: c",
    "&a [*a]",
    "[" * 600,
    "a: !!int x",
    "\x00",
    "task: &t {name: *t}",
)


def one_line_of(error: Exception) -> str:
    said = str(error)
    assert said and "\n" not in said and len(said) < 2000, said[:300]
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad")


def changed(tree: dict[str, Any], place: tuple[str, str], value: object) -> str:
    """A sound config with one thing in it changed, as YAML."""
    key, name = place
    said = {**tree, key: {**tree.get(key, {}), name: value} if name and isinstance(tree.get(key, {}), dict) else value}
    return yaml.safe_dump(said)


CONFIGS = st.builds(changed, st.just({"task": {"name": "lawbench"}}), st.sampled_from(PLACES), PLAIN)


@settings(max_examples=60)
@given(CONFIGS | PLAIN.map(yaml.safe_dump) | st.text(max_size=60) | st.sampled_from(ODD_YAML))
@example('task: {name: lawbench, folder: "a\\0b"}')
@example('task: {name: denoise, tissues: {files: ["a\\0b"]}}')
@example(ODD_YAML[0])
@example(ODD_YAML[1])
@example(ODD_YAML[3])
@example(ODD_YAML[4])
def test_a_config_loads_or_says_why_not_in_one_line(folder: Path, text: str) -> None:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        assert load_config(path).hash
    except ConfigError as error:
        assert one_line_of(error).startswith(str(path))


USER = {"ui": {"theme": "sia"}, "keys": {"app.quit": "q"}, "notify": {"command": ["true"]}}


@settings(max_examples=40)
@given(
    st.builds(lambda key, value: yaml.safe_dump({**USER, key: value}), st.sampled_from([*USER, "more"]), PLAIN)
    | st.text(max_size=60)
    | st.sampled_from(ODD_YAML)
)
@example(yaml.safe_dump({"notify": {"webhook": "http://[::1"}}))
@example(yaml.safe_dump({"notify": {"ntfy": "https://a\n:x/"}}))
def test_a_users_own_settings_too(folder: Path, text: str) -> None:
    home = folder / "sia-tui"
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        try:
            load_user()
        except ConfigError as error:
            one_line_of(error)


ROWS = [
    json.dumps({"input": f"case number {number} of its own kind", "gold": f"g{number % 2}"}) for number in range(20)
]
ROW = (
    st.text(max_size=40)
    | PLAIN.map(json.dumps)
    | st.builds(
        lambda inputs, gold, split: json.dumps({"inputs": inputs, "gold": gold, "split": split}), PLAIN, PLAIN, SCALARS
    )
)


@settings(max_examples=60)
@given(ROW)
@example('{"input": "\\ud800", "gold": "x"}')
@example('{"input": "x", "gold": ' + "[" * 100_000)
@example('{"input": "x", "gold": 1' + "0" * 5000 + "}")
@example('{"input": "x", "gold": NaN}')
@example('{"input": "a,b\u2028c", "gold": "x"}')
@example("id,input,gold\n1,a,b")
@example("\x00")
def test_cases_are_read_or_the_line_is_named(folder: Path, row: str) -> None:
    path = folder / "cases.jsonl"
    path.write_text("\n".join([*ROWS, row]), encoding="utf-8", errors="surrogatepass")
    try:
        lines = own.read_cases(path)
        assert len(lines) >= 20 and all(line.label is not None for line in lines)
    except TaskError as error:
        assert "cases.jsonl" in one_line_of(error)


@settings(max_examples=60)
@given(
    st.binary(max_size=80)
    | PLAIN.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda key, value: json.dumps({"messages": [{"role": "user", "content": "x"}], key: value}).encode(),
        st.sampled_from(["messages", "temperature", "max_tokens", "n", "stop", "seed", "top_p", "top_k", "logprobs"]),
        PLAIN,
    )
)
@example(b"[" * 100_000)
@example(b'{"messages": [{"role": "user", "content": "\\ud800"}]}')
def test_a_request_is_parsed_or_refused_in_one_line(body: bytes) -> None:
    for model in (wire.ChatRequest, wire.TextRequest):
        try:
            wire.parse(model, body)
        except wire.Refused as refused:
            assert refused.status == 400 and one_line_of(Exception(refused.body()["error"]["message"]))


@given(PLAIN | st.builds(lambda choice, usage: {"choices": [choice], "usage": usage}, PLAIN, PLAIN))
@example({"choices": [{"message": {"content": "x"}, "token_ids": "ab", "logprobs": {"content": [{}]}}]})
def test_a_far_servers_answer_is_whole_or_none(answer: object) -> None:
    if remote.complete(answer):
        assert isinstance(remote.read(answer).text, str)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run at a gate and a few files that are none."""
    root = tmp_path_factory.mktemp("place")
    make_run(root / "runs" / "r", "patch_gate")
    os.mkfifo(root / "pipe")
    (root / "large").touch()
    os.truncate(root / "large", 2 << 30)
    return root


ENDLESS = {
    "propose r --patch FILE": "FILE: ",
    "approve r/gate-4 --hash HASH --patch FILE": "FILE: ",
    "approve r/gate-4 --hash HASH --plan FILE": "FILE: ",
    "run FILE --name z --headless": "FILE: cannot be read (",
    "plan CONFIG --shape FILE": "FILE: cannot be read (",
    "doctor --config FILE": "FILE: cannot be read (",
    "tasks new z --cases FILE --command true --folder made": "FILE cannot be read: ",
}


@pytest.mark.parametrize("words", [*ENDLESS, "plan FILE", "restore FILE"])
@pytest.mark.parametrize("file", ["/dev/zero", "PLACE/pipe", "PLACE/large", "PLACE"])
def test_a_file_without_an_end_is_not_read(
    place: Path, capsys: pytest.CaptureFixture[str], words: str, file: str
) -> None:
    gate = RunReader(place / "runs" / "r" / "run.db").state().waiting
    assert gate is not None
    file = file.replace("PLACE", str(place))
    put = {"FILE": file, "HASH": gate.hash, "CONFIG": str(ROOT / "configs" / "lawbench-nano.yaml")}
    assert main([*(put.get(word, word) for word in words.split()), "--workspace", str(place)]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    if words in ENDLESS:
        said = ENDLESS[words].replace("FILE", file)
        assert f"{said}more than " in err if file.endswith("large") else f"{said}a regular file is expected" in err
    assert not Path("made").exists() and [run.name for run in (place / "runs").iterdir()] == ["r"]


NOT_HERE = {"attach", "demo", "doctor", "replay", "reproduce", "attribute", "serve", "tasks", "agents", "verify"}
"""Verbs that open a window or a port, start something or fetch it, or take seconds whatever they are asked."""
KNOWN = ("r", "g1", "p-1", "gate-4", "r/gate-4", "lawbench", "harness.py")
ODD = (
    *("", " ", "-", "--", "-1", "0", "nan", "1e999", "9" * 5000, "²", "g-1", "r/../r", "../..", "/", "/dev/null", "~"),
    *(
        "\x1b[31m",
        "\n",
        "a\nb",
        "\r",
        "\x7f",
        "\u202e",
        "罪",
        "\udcff",
        "\udcff/x",
        "x" * 5000,
        "a/" * 3000,
        "%s",
        "{}",
        "[]",
    ),
    *("=", "a=b", ",", "1,", "steps=1,steps", "levers=,", "0001-01-01", "2026-13-01", "99999999d", "H100x0", "!!int x"),
)

WORDS = st.sampled_from(KNOWN) | st.sampled_from(ODD)


def actions_of(verb: str) -> list[argparse.Action]:
    (choices,) = (made.choices for made in parser()._actions if isinstance(made, argparse._SubParsersAction))
    return [made for made in choices[verb]._actions if made.dest not in ("help", "workspace", "edit")]


def said_of(verb: str, draw: Any) -> list[str]:
    """A command line that argparse may well take, with odd words where it takes any."""
    words = [verb]
    for made in actions_of(verb):
        if made.option_strings and not made.required and not draw(st.booleans(), label=made.dest):
            continue
        words += made.option_strings[-1:]
        if made.nargs == 0:
            continue
        words += [draw(st.sampled_from(tuple(made.choices)) if made.choices else WORDS, label=made.dest)]
    return words


@pytest.mark.parametrize("verb", sorted(set(VERBS) - NOT_HERE - {"home"}))
@settings(max_examples=8, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_odd_words_are_refused_or_taken(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        try:
            code = main([*said_of(verb, data.draw), "--workspace", str(place)])
        except SystemExit as ended:
            code = int(ended.code or 0)
    out, err = capsys.readouterr()
    assert code in (0, 1, 2, 3)
    assert out + err == clean(out + err) and "Traceback" not in err and (out or err or code == 0)


BASE = {"harness.py": b"ONE = 1\nTWO = 2\nTHREE = 3\n", "crlf.py": b"A = 1\r\nB = 2\r\n", "bare.py": b"END = 1"}
SURFACE = ("*.py", "*.md")
NEW = "--- /dev/null\n+++ b/{}\n@@ -0,0 +1 @@\n+x\n"
GIT = "diff --git a/{0} b/{0}\nnew file mode {1}\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+{2}\n"
REFUSED = {
    "above": NEW.format("../x.py"),
    "far above": "--- a/../../harness.py\n+++ b/../../harness.py\n@@ -1 +1 @@\n-ONE = 1\n+X\n",
    "into git": NEW.format(".git/hooks/x.py"),
    "symlink": GIT.format("l.py", "120000", "/etc/passwd"),
    "submodule": GIT.format("s.py", "160000", "Subproject commit " + "1" * 40),
    "executable": GIT.format("e.py", "100755", "x"),
    "binary": "diff --git a/b.py b/b.py\nnew file mode 100644\nindex 0000000..1111111\nBinary files a/b.py and b/b.py differ\n",
    "case clash": NEW.format("Harness.py"),
    "folder in a file's place": NEW.format("harness.py/x.py"),
    "renamed out": "diff --git a/harness.py b/x.sh\nsimilarity index 100%\nrename from harness.py\nrename to x.sh\n",
    "quoted name": '--- /dev/null\n+++ "b/a\\nb.py"\n@@ -0,0 +1 @@\n+x\n',
    "a large one": NEW.format("large.py")
    .replace("+1 @@", "+1,1000000 @@")
    .replace("+x\n", "+0123456789\n" * 1_000_000),
    "half": "--- a/harness.py\n+++ b/harness.py\n@@ -1,3 +1,3 @@\n ONE = 1\n",
}
TAKEN = {
    "crlf": (
        "--- a/crlf.py\n+++ b/crlf.py\n@@ -1,2 +1,2 @@\n A = 1\r\n-B = 2\r\n+B = 3\r\n",
        "crlf.py",
        "A = 1\r\nB = 3\r\n",
    ),
    "no final newline": (
        "--- a/bare.py\n+++ b/bare.py\n@@ -1 +1 @@\n-END = 1\n\\ No newline at end of file\n+END = 2\n"
        "\\ No newline at end of file\n",
        "bare.py",
        "END = 2",
    ),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[HarnessRepository, str]:
    return HarnessRepository.plant(tmp_path_factory.mktemp("git") / "harness", "task", BASE)


def standing(repository: HarnessRepository) -> str:
    return repository.git.run("for-each-ref") + repository.git.run("status", "--porcelain")


@pytest.mark.parametrize("name", REFUSED)
def test_a_patch_that_may_not_be_is_refused_and_nothing_stands_elsewhere(
    name: str, planted: tuple[HarnessRepository, str]
) -> None:
    repository, seed = planted
    before, outside = standing(repository), set(repository.root.parent.iterdir())
    with pytest.raises(PatchFailed) as refused:
        repository.patched_tree(seed, "task", REFUSED[name], SURFACE)
    one_line_of(refused.value)
    assert standing(repository) == before and set(repository.root.parent.iterdir()) == outside


@pytest.mark.parametrize("name", TAKEN)
def test_line_ends_are_taken_as_they_are(name: str, planted: tuple[HarnessRepository, str]) -> None:
    repository, seed = planted
    patch, file, text = TAKEN[name]
    tree = repository.patched_tree(seed, "task", patch, SURFACE)
    assert repository.git.show(f"{tree}:task/{file}") == text
    assert partial(patch, [0]) == patch and len(hunks(patch)) == 1


PIECES = [
    NEW.format("/etc/x.py"),
    "--- /dev/null\n+++ /etc/x.py\n@@ -0,0 +1 @@\n+x\n",
    *(patch for name, patch in REFUSED.items() if name != "a large one"),
    *(patch for patch, _, _ in TAKEN.values()),
]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(PIECES), max_size=3), st.integers(0, 400), st.text(max_size=6))
def test_whatever_is_done_to_patches_only_plain_files_of_the_surface_change(
    planted: tuple[HarnessRepository, str], pieces: list[str], at: int, more: str
) -> None:
    repository, seed = planted
    whole = "".join(pieces)
    patch = whole[:at] + more + whole[at:]
    assert all(hunk.line >= 0 for hunk in hunks(patch))
    try:
        tree = repository.patched_tree(seed, "task", patch, SURFACE)
    except PatchFailed as refused:
        one_line_of(refused)
        return
    for line in repository.git.run("ls-tree", "-r", tree).splitlines():
        mode, _, path = line.split(maxsplit=1)[0], *line.partition("\t")[1:]
        assert mode == "100644" and path.startswith("task/") and path.endswith(".py")
