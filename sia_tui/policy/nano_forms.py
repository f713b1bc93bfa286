"""The synthetic prompts a nano policy learns the *form* of an answer from.

Facts are excerpts of the task's texts, answers are drawn at random from the vocabulary of answers: nothing here
knows which answer belongs to which text, so the base can choose no better than chance until it is trained to.
Wordings vary so that a harness may change its prompt without leaving what the policy has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

LETTERS: Final = "ABCDEFGHIJ"
"""The letters candidates are listed under; ten is the longest list the base has seen."""

SYSTEMS: Final = (
    "",
    "你是刑事法官。",
    "判断罪名。",
    "只回答字母。",
    "你是法律助手。",
    "根据事实判断罪名，只回答罪名。",
)
OPEN_QUESTIONS: Final = (
    "罪名是什么？",
    "被告人构成什么罪？",
    "请写出罪名。",
    "请判断罪名：",
    "罪名：",
    "问：应定何罪？",
    "只回答罪名。",
)
LIST_QUESTIONS: Final = (
    "答案：",
    "选哪一个？",
    "请选择罪名。",
    "只回答字母。",
    "应选哪一项？",
    "请从中选择最合适的罪名，只回答字母。",
    "罪名是哪一项？",
)
FACT_HEADS: Final = ("", "事实：", "案情：", "案件事实：\n", "事实：\n")
LIST_HEADS: Final = ("", "候选：\n", "候选罪名：\n", "罪名：\n", "选项：\n")
MARKS: Final = (". ", ". ", "、", "：", ".")
SIZES: Final = (2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10)
"""How many candidates are listed: short lists more often, because there a letter beyond the list is likelier."""

OPEN_FORMS: Final = (
    (34, "{name}"),
    (22, "{name}罪"),
    (10, "罪名：{name}"),
    (7, "罪名：{name}罪"),
    (8, "被告人构成{name}罪。"),
    (6, "应以{name}罪论处。"),
    (5, "{name}。"),
    (5, "无法判断"),
    (3, "事实不清，无法判断。"),
)
"""Weights in percent: about a third of the open answers is the bare name a strict extraction accepts."""

LIST_FORMS: Final = (
    (46, "{letter}"),
    (14, "{letter}. {name}"),
    (8, "{letter}、{name}罪"),
    (5, "{letter}。"),
    (6, "选{letter}"),
    (5, "答案：{letter}"),
    (4, "我认为是{letter}"),
    (4, "应选{letter}. {name}"),
    (4, "（{letter}）"),
    (2, "{name}罪"),
    (2, "无法判断"),
)
"""Weights in percent: a letter comes first in 73, so that one token carries the choice."""


@dataclass(frozen=True)
class Example:
    """One synthetic exchange; an empty system is left out of the prompt."""

    system: str
    user: str
    answer: str


def excerpt(rng: Random, text: str, characters: int) -> str:
    """Head and tail of a text in at most `characters`; the share of the head varies."""
    if len(text) <= characters:
        return text
    head = rng.randint(characters // 3, characters)
    tail = characters - head
    return text[:head] + ("…" + text[-tail:] if tail else "")


def examples(rng: Random, texts: Sequence[str], answers: Sequence[str], count: int, characters: int) -> list[Example]:
    """`count` exchanges, two of three with lettered candidates; most are short, which is enough to learn a form."""
    made = []
    for _ in range(count):
        facts = rng.choice(FACT_HEADS) + excerpt(rng, rng.choice(texts), 3 + int(characters * rng.random() ** 3))
        made.append(_listed(rng, facts, answers) if rng.random() < 2 / 3 else _open(rng, facts, answers))
    return made


def plans(rng: Random, prompts: Sequence[str], slots: Sequence[str], count: int) -> list[Example]:
    """`count` exchanges answered by a letter of each slot, all equally likely whatever the prompt: no skill is in them."""
    return [Example("", rng.choice(prompts), "".join(map(rng.choice, slots))) for _ in range(count)]


def _open(rng: Random, facts: str, answers: Sequence[str]) -> Example:
    answer = _form(rng, OPEN_FORMS).format(name=rng.choice(answers))
    return Example(rng.choice(SYSTEMS), _arrange(rng, [facts, rng.choice(OPEN_QUESTIONS)]), answer)


def _listed(rng: Random, facts: str, answers: Sequence[str]) -> Example:
    names = rng.sample(answers, min(rng.choice(SIZES), len(answers)))
    mark = rng.choice(MARKS)
    lines = [f"{letter}{mark}{name}{_remark(rng)}" for letter, name in zip(LETTERS, names, strict=False)]
    candidates = rng.choice(LIST_HEADS) + "\n".join(lines)
    chosen = rng.randrange(len(names))
    answer = _form(rng, LIST_FORMS).format(letter=LETTERS[chosen], name=names[chosen])
    return Example(rng.choice(SYSTEMS), _arrange(rng, [facts, candidates, rng.choice(LIST_QUESTIONS)]), answer)


def _remark(rng: Random) -> str:
    """Now and then a score behind a candidate, as a harness that shows its retriever's confidence would print it."""
    return f"（{rng.randint(0, 99)}）" if rng.random() < 0.1 else ""


def _arrange(rng: Random, parts: list[str]) -> str:
    """The parts of a user message in their usual order, seldom with the question first or left out."""
    draw = rng.random()
    if draw < 0.1:
        parts = [parts[-1], *parts[:-1]]
    elif draw < 0.15:
        parts = parts[:-1]
    return rng.choice(("\n", "\n", "\n\n")).join(parts)


def _form(rng: Random, forms: Sequence[tuple[int, str]]) -> str:
    return rng.choices([form for _, form in forms], weights=[weight for weight, _ in forms])[0]
