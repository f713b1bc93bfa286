"""An earlier patch on a harness that has moved on: what fits is applied, what does not is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.diffs import patch
from sia_tui.core.hunks import patched
from sia_tui.core.reviving import revive

BASE = """import sia

TRIES = 1


async def solve(case, llm, tools):
    found = tools.rank(case.text)
    reply = await llm.chat(found[:10])
    return reply.text


def clip(text):
    return text[:100]
"""
VOTED = BASE.replace("TRIES = 1", "TRIES = 5").replace("text[:100]", "text[:400]")
PATCH = patch({"x.py": BASE}, {"x.py": VOTED})


def test_on_the_files_it_was_made_for_it_is_itself() -> None:
    found = revive(PATCH, {"x.py": BASE}, {"x.py": BASE})
    assert found.patch == PATCH and found.told == "2 of 2 hunks fit"


def test_it_finds_its_place_in_a_file_that_has_moved_on() -> None:
    now = BASE.replace("import sia\n", "import re\nimport sia\n\nWIDTH = 3\n").replace("found[:10]", "found[:20]")
    found = revive(PATCH, {"x.py": BASE}, {"x.py": now})
    after = patched(found.patch, "x.py", now)
    assert after == now.replace("TRIES = 1", "TRIES = 5").replace("text[:100]", "text[:400]")


def test_what_does_not_fit_is_left_out_and_named() -> None:
    now = BASE[: BASE.index("def clip")] + "def answer(found):\n    yield from sorted(found)\n"
    found = revive(PATCH, {"x.py": BASE}, {"x.py": now})
    assert [fit.fate for fit in found.fits] == ["fits", "does not fit"] and found.told == "1 of 2 hunks fit, 1 not"
    assert "TRIES = 5" in found.patch and "400" not in found.patch


def test_what_was_kept_since_is_there_already() -> None:
    found = revive(PATCH, {"x.py": BASE}, {"x.py": VOTED})
    assert {fit.fate for fit in found.fits} == {"there already"} and found.patch == ""


def test_files_made_and_deleted() -> None:
    both = patch({"old.md": "a\n"}, {"new.md": "b\n"})
    assert revive(both, {"old.md": "a\n"}, {"old.md": "a\n"}).patch == both
    changed = revive(both, {"old.md": "a\n"}, {"old.md": "other\n", "new.md": "mine\n"})
    assert [fit.fate for fit in changed.fits] == ["does not fit", "does not fit"] and changed.patch == ""
    assert revive(both, {"old.md": "a\n"}, {"new.md": "b\n"}).told == "0 of 2 hunks fit, 2 there already"


TEXTS = st.lists(st.sampled_from(["a = 1\n", "b = 22\n", "return c\n", "\n", "盗窃 = 3\n"]), max_size=12).map("".join)


@given(TEXTS.filter(bool), TEXTS.filter(bool))
def test_where_nothing_has_changed_the_whole_patch_fits(before: str, after: str) -> None:
    whole = patch({"x.py": before}, {"x.py": after})
    found = revive(whole, {"x.py": before}, {"x.py": before})
    if not any(fit.fate == "there already" for fit in found.fits):
        assert patched(found.patch, "x.py", before) == after
