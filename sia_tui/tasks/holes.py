"""What another project's evaluator pays that it should not: it is run on made outputs, and what it says becomes rows.

Every hole that is known of such evaluators is closed in a task that was imported, because its reward asks about one case
at a time, in an empty folder; so a hole is amber. That single cases cannot be told apart is not to be closed: it fails.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sia_tui.core.fitness import Finding, amber, fails, ok
from sia_tui.tasks import foreign_reward
from sia_tui.tasks.foreign import Foreign, swapped
from sia_tui.tasks.foreign_reward import EvaluatorFailed

ALONE = 6
"""Cases that are asked about one at a time."""
CLOSED = "closed here: each case is asked about alone, and counts whether it is answered or not"
UNPAIRED = (
    "without a score a case there is no interval, the keep rule cannot decide, and every step is a person's guess: have "
    "evaluate.py score each case by itself"
)


def probe(found: Foreign) -> list[Finding]:
    """The rows of an evaluator; some ten runs of it, and twelve for single cases."""
    return [_asked(row, found) for row in ROWS]


def span(found: Foreign) -> tuple[float, float, float] | None:
    """(Least, most, seconds a run) of the score of one case answered alone, wrongly and rightly; None where cases differ in
    it, or nothing is between."""
    wrong, pairs, began = swapped(found.gold), [], time.monotonic()
    for id in list(found.gold)[:ALONE]:
        pairs.append((found.earned([(id, wrong[id])]), found.earned([(id, found.gold[id])])))
    least, most = pairs[0]
    alike = all(abs(low - least) < 1e-9 and abs(high - most) < 1e-9 for low, high in pairs)
    return (least, most, (time.monotonic() - began) / (2 * len(pairs))) if alike and most > least else None


def _asked(row: Callable[[Foreign], Finding], found: Foreign) -> Finding:
    """An evaluator that ends with an error pays nothing."""
    try:
        return row(found)
    except EvaluatorFailed as fault:
        name = row.__name__.removeprefix("_")
        said = f"evaluate.py refuses what was tried: {fault}"
        return fails(name, said, UNPAIRED) if name == "paired" else ok(name, said[:200])


def _attempted(found: Foreign) -> Finding:
    pairs = list(found.gold.items())
    half = found.earned(pairs[: len(pairs) // 2]) / found.top
    one = found.earned(pairs[:1]) / found.top
    share = (len(pairs) // 2) / len(pairs)
    said = f"half the cases answered earn {half:.2f}, one of {len(pairs)} earns {one:.2f}"
    return ok("attempted", said) if half <= share + 0.01 else amber("attempted", said, CLOSED, half=half, one=one)


def _repeated(found: Foreign) -> Finding:
    """One right answer, handed in as often as there are cases, among wrong ones and without them."""
    assert found.form is not None
    if found.form["kind"] == "object":
        return ok("repeated", "the form holds a case once")
    first, *rest = found.gold.items()
    wrong, many = swapped(found.gold), [first] * len(found.gold)
    honest = found.earned([first, *((id, wrong[id]) for id, _ in rest)])
    tries = {"in place of the others": many, "beside wrong ones": [*many, *((id, wrong[id]) for id, _ in rest)]}
    paid = {}
    for name, answers in tries.items():
        try:
            paid[name] = found.earned(answers) / found.top
        except EvaluatorFailed:
            paid[name] = 0.0
    name, most = max(paid.items(), key=lambda pair: pair[1])
    said = f"one right answer handed in {len(many)} times {name} earns {most:.2f}, once {honest / found.top:.2f}"
    return ok("repeated", said) if most <= honest / found.top + 0.01 else amber("repeated", said, CLOSED, most=most)


def _stale(found: Foreign) -> Finding:
    """An empty folder but for the results of before."""
    with tempfile.TemporaryDirectory(prefix="evaluate-") as name:
        results = Path(name) / foreign_reward.RESULTS
        results.write_text('{"accuracy": 0.123}', encoding="utf-8")
        argv = [found.python, str(found.evaluator), "--gen-dir", name]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=foreign_reward.RUN_S)
        left = results.is_file() and '"accuracy": 0.123' in results.read_text(encoding="utf-8")
    if not left:
        return ok("stale")
    how = "and it ends as if all were well" if ran.returncode == 0 else f"though it ends with status {ran.returncode}"
    said = f"with no answer handed in, an older results.json stays, {how}"
    return amber("stale", said, "closed here: an empty folder a case, and the exit status is looked at")


def _null(found: Foreign) -> Finding:
    return _unpaid("null", found, {id: "" for id in found.gold}, "answers that are empty")


def _random(found: Foreign) -> Finding:
    """No class, no number, no move."""
    return _unpaid("random", found, {id: "qqqq zzzz 7" for id in found.gold}, "nonsense that is no possible answer")


def _shape(found: Foreign) -> Finding:
    """The right answer only stands somewhere in the text, and is denied at that."""
    said = {id: f"NOT {right}, ANYTHING BUT {right}" for id, right in found.gold.items()}
    return _unpaid("shape", found, said, "'NOT x, ANYTHING BUT x', x being the right answer,")


def _unpaid(row: str, found: Foreign, answers: dict[object, str], what: str) -> Finding:
    earned = found.earned(list(answers.items())) / found.top
    said = f"{what} earn {earned:.2f}" if what.startswith("answers") else f"{what} earns {earned:.2f}"
    if earned <= 0.01:
        return ok(row, said)
    fix = (
        "not closed here: what an answer is stays the evaluator's to read; mend it, or make the harness answer plainly"
    )
    return amber(row, said, fix, earned=earned)


def _paired(found: Foreign) -> Finding:
    alone = span(found)
    if alone is None:
        return fails(
            "paired", "no paired gate: single cases, asked about alone, earn nothing that can be compared", UNPAIRED
        )
    least, most, seconds = alone
    said = f"a case alone earns {least:.4g} or {most:.4g}, in {seconds:.1f} s: that is its reward, 0 or 1"
    return ok("paired", said, least=least, most=most, seconds=seconds)


ROWS = (_attempted, _repeated, _stale, _null, _random, _shape, _paired)
