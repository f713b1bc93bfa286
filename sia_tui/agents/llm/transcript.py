"""Trajectories and other untrusted text as a model is shown them: whole, cleaned, and fenced as data."""

from __future__ import annotations

from collections.abc import Iterator

from sia_tui.agents.protocol import Reading
from sia_tui.core.hashing import digest
from sia_tui.core.proposals import RIGHT
from sia_tui.core.text import clean


def fenced(text: str, what: str) -> str:
    """Between marks that the text cannot know: they are made of its own content."""
    body = clean(text)
    mark = f"data-{digest([what, body])[:12]}"
    return f"<{mark} what={what!r}>\n{body}\n</{mark}>"


def kind_of(reading: Reading) -> str:
    """`right`, or how it failed: the harness' own error first, else the verifier's word."""
    if reading.score.failure is None:
        return RIGHT
    error = reading.attempt.error
    return error.kind if error is not None else reading.score.failure


def transcript(reading: Reading) -> str:
    """Everything that happened in an episode, in order of its kind: calls, tool calls, answer, score."""
    return "\n".join(_lines(reading))


def texts(reading: Reading) -> Iterator[str]:
    """What of it others wrote: the case, the policy, the tools, the harness."""
    attempt = reading.attempt
    yield from attempt.case.inputs.values()
    for call in attempt.calls:
        yield call.text
    for used in attempt.tool_calls:
        yield used.result
    yield str(dict(attempt.notes))
    if attempt.error is not None:
        yield attempt.error.message


def _lines(reading: Reading) -> Iterator[str]:
    attempt, score = reading.attempt, reading.score
    yield f"episode {reading.episode} · case {attempt.case.id} ({attempt.case.split}) · {kind_of(reading)}"
    for name, text in attempt.case.inputs.items():
        yield f"case {name}: {text}"
    for used in attempt.tool_calls:
        yield f"tool {used.name}({used.arguments}) -> {used.result}  [{used.seconds:.3f} s]"
    for number, call in enumerate(attempt.calls, 1):
        for message in call.messages:
            yield f"call {number} {message.get('role', '?')}: {message.get('content', '')}"
        said = (
            f"{len(call.completion_ids) + call.unseen} tokens, temperature {call.temperature:g}, {call.finish_reason}"
        )
        yield f"call {number} reply: {call.text}  [{said}]"
    if attempt.error is not None:
        yield f"error {attempt.error.kind}: {attempt.error.message}\n{attempt.error.traceback}"
    if attempt.notes:
        yield f"notes: {dict(attempt.notes)}"
    yield f"answer: {attempt.answer!r} (from the {attempt.source}), {attempt.seconds:.2f} s"
    known = (
        f"; expected {reading.expected!r}"
        if reading.expected is not None
        else " (the expected answer is withheld on dev)"
    )
    yield f"reward {score.reward:g}, failure {score.failure}{known}"
