"""What policy and machine did between two steps of a training."""

from __future__ import annotations

from typing import Any

import pytest

from sia_tui.core.machine import Gpu, Usage
from sia_tui.engine.readings import Readings, counted


class Told:
    def __init__(self, *health: dict[str, Any] | None) -> None:
        self.health, self.usage = list(health), Usage(cores=1.5, rss_gib={"trainer": 0.5})

    async def __call__(self) -> dict[str, Any] | None:
        return self.health.pop(0)


def of(told: Told) -> Readings:
    return Readings(told, lambda: told.usage)


async def test_gauges_are_means_and_the_cache_is_the_fullest_it_was() -> None:
    readings = of(
        Told({"running": 4, "queue_depth": 0, "kv_cache": 0.9}, {"running": 2, "queue_depth": 1, "kv_cache": 0.1})
    )
    await readings.look()
    await readings.look()
    found = readings.take()
    assert (found["gateway/running"], found["gateway/queue"], found["kv_cache"]) == (3, 0.5, 0.9)
    assert (found["cores"], found["rss_gib/trainer"]) == (1.5, 0.5)
    assert not {"gpu_busy/0", "prefix_hits"} & set(found), "what nobody told is no curve"
    assert readings.take() == {}, "it was told already"


async def test_what_only_grows_is_told_by_step() -> None:
    readings = of(Told(*({"completion_tokens": n, "prefix_queries": 4 * n, "prefix_hits": n} for n in (100, 300, 300))))
    await readings.look()
    await readings.look()
    found = readings.take()
    assert found["gateway/tokens_s"] > 0 and found["prefix_hits"] == 0.25
    await readings.look()
    assert readings.take().get("gateway/tokens_s") == 0, "from where the last step left it"


def test_a_gateway_that_was_started_anew_counts_from_nothing() -> None:
    before, now = {"completion_tokens": 900}, {"completion_tokens": 20}
    assert counted(1.0, before, 2.0, now) == {}
    assert counted(1.0, {"completion_tokens": 900}, 3.0, {"completion_tokens": 1000}) == {"gateway/tokens_s": 50}


async def test_of_a_gpu_what_its_driver_tells() -> None:
    told = Told(None)
    told.usage = Usage((Gpu(0, 0.5, 40.0, 80.0, 600.0, 55.0), Gpu(1, None, 10.0, 80.0)))
    readings = of(told)
    await readings.look()
    assert readings.take() == pytest.approx(
        {"gpu_busy/0": 0.5, "gpu_gib/0": 40, "gpu_watts/0": 600, "gpu_celsius/0": 55, "gpu_gib/1": 10}
    )
