"""How tests share three processes, which keep two cores busy though each waits a third of its time: a file's stay in one, so
that what they share is made once, and the longest begin first."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says what else the machine does.
settings.register_profile("here", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

LONGEST = (
    "e2e-levers",
    "tests/weights/test_training.py",
    "e2e-fates",
    "e2e-agents",
    "e2e-gates",
    "tests/policy",
    "export",
)
"""Groups of more than half a minute, the longest first, but for the second: what runs share (their policy, their environment)
is made by the first before another looks for it. A short one at the end leaves no process alone for long."""
TOGETHER = ("tests/policy",)
"""Folders whose files share what takes seconds to make."""


def pytest_configure() -> None:
    # Collecting imports torch and transformers; the garbage collector would walk through them again and again.
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(_group(item.nodeid)))
    items.sort(key=_rank)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def _group(test: str) -> str:
    file = test.partition("::")[0]
    return next((folder for folder in TOGETHER if file.startswith(f"{folder}/")), file)


def _rank(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    assert mark is not None
    return LONGEST.index(mark.args[0]) if mark.args[0] in LONGEST else len(LONGEST)
