"""A small data set in LawBench's layout, made up: same files, same traps, no network, and no real case in it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from sia_tui.tasks import lawbench
from sia_tui.tasks.dataset import WheelSource

REPEATED_IN_TRAIN = 3
"""Train texts that occur once more with a few characters changed."""
REPEATED_FROM_TEST = 2
"""Train rows that repeat a test text, word for word or nearly."""
_OPENING = "检察院指控被告人某某于某日在某市"
_NOISE = [chr(0x4E00 + 7 * step) for step in range(400)]


def charges_of(count: int) -> tuple[str, ...]:
    glosses = json.loads(Path(lawbench.__file__).with_name("glosses.json").read_text("utf-8"))
    return tuple(glosses)[:count]


def lawbench_shaped_files(
    charges: int = 12, per_charge: int = 20, test_per_charge: int = 4, seed: int = 0
) -> dict[str, bytes]:
    """The data folder's files by name; a charge's texts share a few words that other charges rarely use."""
    draw = random.Random(seed)
    labels = charges_of(charges)
    words = {label: ["".join(draw.choices(_NOISE, k=2)) for _ in range(5)] for label in labels}
    train = [(_text(words, label, draw), label) for label in labels for _ in range(per_charge)]
    test = [(_text(words, label, draw), label) for label in labels for _ in range(test_per_charge)]
    draw.shuffle(test)
    train += [(_nearly(text, draw), label) for text, label in train[:REPEATED_IN_TRAIN]]
    train += [(text if index else _nearly(text, draw), label) for index, (text, label) in _some(test)]
    draw.shuffle(train)
    return {
        lawbench.TRAIN: _csv(("id", "text", "label"), ((i, text, label) for i, (text, label) in enumerate(train))),
        lawbench.TEST: _csv(("id", "text"), ((i, text) for i, (text, _) in enumerate(test))),
        lawbench.TEST_LABELS: _csv(("id", "label"), ((i, label) for i, (_, label) in enumerate(test))),
        lawbench.CLASSES: json.dumps(labels, ensure_ascii=False).encode(),
    }


def write_lawbench_shaped(
    folder: Path, charges: int = 12, per_charge: int = 20, test_per_charge: int = 4, seed: int = 0
) -> Path:
    """Write a folder that `lawbench.load` takes; REPEATED_FROM_TEST of its train rows will be dropped there."""
    files = lawbench_shaped_files(charges, per_charge, test_per_charge, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lawbench.write_folder(folder, files, source="made up", version=str(seed), sha256="")
    return folder


def write_wheel(folder: Path, files: dict[str, bytes]) -> tuple[Path, WheelSource]:
    """A wheel of the real one's name and layout that pip accepts, and the source that describes it."""
    info = "sia_agent-0.6.0.dist-info"
    content = {lawbench.SOURCE.members[name]: data for name, data in files.items()}
    content[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: sia-agent\nVersion: 0.6.0\n"
    content[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*content, f"{info}/RECORD")).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sia_agent-0.6.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, WheelSource("sia-agent", "0.6.0", digest, lawbench.SOURCE.members)


def _text(words: dict[str, list[str]], label: str, draw: random.Random) -> str:
    own, others = words[label], [word for some in words.values() for word in some]
    parts = [
        draw.choice(own) if (turn := draw.random()) < 0.05 else draw.choice(others if turn < 0.2 else _NOISE)
        for _ in range(draw.randint(60, 120))
    ]
    return f"{_OPENING}，{''.join(parts)}。"


def _nearly(text: str, draw: random.Random) -> str:
    spot = draw.randrange(len(_OPENING), len(text) - 1)
    return f"{text[:spot]}甲{text[spot + 1 :]} "


def _some(test: Sequence[tuple[str, str]]) -> Iterable[tuple[int, tuple[str, str]]]:
    return enumerate(test[:REPEATED_FROM_TEST])


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([columns, *rows])
    return out.getvalue().encode()
