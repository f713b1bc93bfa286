"""A denoising pipeline in one short line: a word per choice, in a fixed order.

    depth:held form:log thin:yes axes:20 knn:10 kernel:box steps:1 weigh:none keep:0 bag:1 rank:none fit:svd shrink:no
    power:1 floor:none round:no total:one

Or a letter per choice (`letters`). The plan says what is done, never what is good: every combination of the words is a
plan, runs, and gives a matrix of the right form. `render` turns a plan into the Python function that the verifier sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from random import Random

FIELDS: Mapping[str, tuple[str, ...]] = {
    "depth": ("one", "median", "held", "fixed"),
    "form": ("plain", "sqrt", "tukey", "log"),
    "thin": ("no", "yes"),
    "axes": ("5", "10", "20", "50", "100"),
    "knn": ("3", "5", "10", "15", "30"),
    "kernel": ("box", "decay", "gauss"),
    "steps": ("0", "1", "2", "3", "5"),
    "weigh": ("none", "library"),
    "keep": ("0", "0.1", "0.25", "0.5"),
    "bag": ("1", "2", "3"),
    "rank": ("none", "5", "10", "20", "50"),
    "fit": ("svd", "poisson"),
    "shrink": ("no", "gene"),
    "power": ("1", "1.1", "1.25", "1.5"),
    "floor": ("none", "tenth", "noise"),
    "round": ("no", "yes"),
    "total": ("counts", "one"),
}
"""What may be said, field by field; the words of a line come in this order."""

MEANING: Mapping[str, str] = {
    "depth": "the total every cell is scaled to first: 1, the median cell's, a ninth of its own, or 1e4",
    "form": "the transform: none, square root, Freeman-Tukey's, or log(1 + x)",
    "thin": "whether the transform is the one expected of the counts thinned to the depth of the held-out molecules",
    "axes": "principal axes in which cells are compared",
    "knn": "neighbours of a cell",
    "kernel": "weights of neighbours: equal, exp(-d), or exp(-d^2), d in units of the farthest neighbour",
    "steps": "steps of diffusion over the graph",
    "weigh": "whether neighbours count by their library size",
    "keep": "share of the cell's own values mixed back in",
    "bag": "graphs whose diffusions are averaged, with 1, 2 and 4 times the neighbours",
    "rank": "rank that the smoothed values are cut down to",
    "fit": "how the low rank is found: by least squares, or by Poisson factorisation",
    "shrink": "whether each gene is drawn to its mean by its share of noise",
    "power": "exponent applied to the values transformed back",
    "floor": "what is set to nothing: values under a tenth of a molecule, or no larger than the gene's lowest is negative",
    "round": "whether values are rounded to whole molecules",
    "total": "the total of a cell in the answer: its own count of molecules, or 1",
}


class PlanError(ValueError):
    """One line: which word of a plan is wrong, and what may stand there."""


@dataclass(frozen=True)
class Plan:
    """One word per field of FIELDS. PlanError for a word that may not stand there."""

    depth: str
    form: str
    thin: str
    axes: str
    knn: str
    kernel: str
    steps: str
    weigh: str
    keep: str
    bag: str
    rank: str
    fit: str
    shrink: str
    power: str
    floor: str
    round: str
    total: str

    def __post_init__(self) -> None:
        for name, word in asdict(self).items():
            if word not in FIELDS[name]:
                raise PlanError(f"{name}:{word[:20]} is not in the grammar: {name} is one of {', '.join(FIELDS[name])}")


def parse(text: str) -> Plan:
    """The plan of a line, white space around and between its words being free. PlanError says what is wrong first."""
    words = text.split()
    names = list(FIELDS)
    if len(words) != len(names):
        raise PlanError(
            f"a plan has {len(names)} words, this has {len(words)}: write {' '.join(names)}, each as name:value"
        )
    given: dict[str, str] = {}
    for name, word in zip(names, words, strict=True):
        said, _, value = word.partition(":")
        if said != name:
            raise PlanError(f"{word[:40]!r} stands where {name} should: write {' '.join(names)}, each as name:value")
        given[name] = value
    return Plan(**given)


def format_plan(plan: Plan) -> str:
    """The one line that parses to this plan."""
    return " ".join(f"{field.name}:{getattr(plan, field.name)}" for field in fields(plan))


def letters(plan: Plan) -> str:
    """The plan as a letter a field, A for the first of its words: the shortest form, for policies that write by letters."""
    return "".join(chr(ord("A") + words.index(getattr(plan, name))) for name, words in FIELDS.items())


def from_letters(text: str) -> Plan:
    """The plan of such letters, white space around them being free. PlanError says what is wrong first."""
    given = text.strip()
    if len(given) != len(FIELDS):
        raise PlanError(f"a plan has {len(FIELDS)} letters, this has {len(given)}: one each for {', '.join(FIELDS)}")
    chosen: dict[str, str] = {}
    for letter, (name, words) in zip(given, FIELDS.items(), strict=True):
        place = ord(letter) - ord("A")
        if not 0 <= place < len(words):
            raise PlanError(f"{letter!r} stands for no {name}: A to {chr(ord('A') + len(words) - 1)} may stand there")
        chosen[name] = words[place]
    return Plan(**chosen)


def random_plan(rng: Random) -> Plan:
    """Every well-formed plan is equally likely: no skill is in it."""
    return Plan(**{name: rng.choice(words) for name, words in FIELDS.items()})


def neighbours(plan: Plan) -> list[Plan]:
    """Every plan that differs in one word."""
    given = asdict(plan)
    return [Plan(**{**given, name: word}) for name, words in FIELDS.items() for word in words if word != given[name]]
