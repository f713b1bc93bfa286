"""The line about the machine says what is known and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.machine import Gpu, Usage, told, usage_from

NUMBERS = st.none() | st.floats(0, 1e6)
GPUS = st.lists(st.builds(Gpu, st.integers(0, 15), *[NUMBERS] * 5), max_size=8).map(tuple)
USAGES = st.builds(Usage, GPUS, NUMBERS, st.dictionaries(st.sampled_from(["trainer", "policy"]), st.floats(0, 1e3)))


def test_the_gpus_in_one_line() -> None:
    gpus = tuple(
        Gpu(index, 0.88 + 0.02 * (index % 4), 55.0 + index % 7, 80.0, 605.0 + index, 47.0 + index) for index in range(8)
    )
    assert told(Usage(gpus)) == "GPU 0-7 91 % 61/80 GiB 612 W 54 °C"
    assert told(Usage(gpus[:1])) == "GPU 0 88 % 55/80 GiB 605 W 47 °C"


def test_a_machine_without_one() -> None:
    usage = Usage((), 1.9, {"trainer": 0.9, "policy": 0.4})
    assert told(usage) == "CPU 1.9 cores, trainer 0.9, policy 0.4 GiB · GPU n/a"
    assert told(Usage()) == "CPU n/a · GPU n/a"


def test_what_a_slice_does_not_tell_is_not_made_up() -> None:
    assert told(Usage((Gpu(0, None, 3.0, 9.75),))) == "GPU 0 n/a % 3/10 GiB n/a W n/a °C"


@given(USAGES)
def test_a_reading_comes_back_as_it_was_and_is_one_line(usage: Usage) -> None:
    assert usage_from(json.loads(json.dumps(asdict(usage)))) == usage
    assert told(usage).isprintable()
