"""Readings of real processes, and of GPUs behind the real binding: only the driver's library is not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pynvml
import pytest

from sia_tui.core.hardware import machine_named
from sia_tui.core.machine import Gpu
from sia_tui.engine import hardware
from sia_tui.engine.machine import Meter, processes, rss_gib

SPIN = "import subprocess, sys; held = bytearray(60 << 20)\nif sys.argv[2:]: subprocess.Popen(sys.argv[2:])\nwhile True: pass"


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def trainer() -> Iterator[subprocess.Popen[bytes]]:
    """A child that looks like the trainer, with a child of its own; both compute and hold memory."""
    inner = [sys.executable, "-c", SPIN, "something else"]
    child = subprocess.Popen([sys.executable, "-c", SPIN, "sia_tui.weights.trainer", *inner], start_new_session=True)
    yield child
    os.killpg(child.pid, 9)
    child.wait()


def test_a_child_and_what_it_started_are_counted_by_what_the_child_is_for(trainer: subprocess.Popen[bytes]) -> None:
    until(lambda: rss_gib(processes(os.getpid())).get("trainer", 0.0) > 0.12)
    family = processes(os.getpid())
    assert family[0].pid == os.getpid() and trainer.pid in {process.pid for process in family}
    assert processes(trainer.pid)[0].pid == trainer.pid and len(processes(trainer.pid)) == 2


def test_a_meter_tells_the_cores_in_use(trainer: subprocess.Popen[bytes]) -> None:
    meter = Meter(every_s=0.3)
    meter.start()
    try:
        until(lambda: meter.newest is not None and meter.newest.cores is not None and meter.newest.cores > 0.3)
        assert meter.newest is not None and meter.newest.cores is not None
        assert meter.newest.cores < (os.cpu_count() or 1) + 1 and "trainer" in meter.newest.rss_gib
    finally:
        meter.stop()


def test_a_process_that_is_gone_has_no_family() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert processes(ended.pid) == []


class Library:
    """libnvidia-ml.so.1 as the binding calls it: C functions with out-pointers. GPU 1 is a MIG slice, GPU 2 is lost."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        said = {
            "nvmlInitWithFlags": lambda flags: None,
            "nvmlDeviceGetCount_v2": lambda out: self._put(out, 3),
            "nvmlDeviceGetHandleByIndex_v2": lambda index, out: self._put(out, 1 + index.value),
            "nvmlDeviceGetUtilizationRates": lambda of, out: self._fill(out, gpu=91, memory=40),
            "nvmlDeviceGetMemoryInfo": lambda of, out: self._fill(out, total=80 << 30, used=61 << 30, free=19 << 30),
            "nvmlDeviceGetPowerUsage": lambda of, out: self._put(out, 612_000),
            "nvmlDeviceGetTemperature": lambda of, sensor, out: self._put(out, 54),
        }
        if name not in said:
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            number = getattr(arguments[0], "value", None)
            if name.startswith("nvmlDeviceGet") and number == 3:
                return int(pynvml.NVML_ERROR_GPU_IS_LOST)
            if name in ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage") and number == 2:
                return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
            said[name](*arguments)
            return int(pynvml.NVML_SUCCESS)

        return call

    @staticmethod
    def _put(out: Any, value: int) -> None:
        out._obj.value = value

    @staticmethod
    def _fill(out: Any, **values: int) -> None:
        for name, value in values.items():
            setattr(out._obj, name, value)


def test_gpus_are_read_and_what_the_driver_refuses_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlLib", Library())
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    meter = Meter(every_s=60)
    meter.start()
    try:
        until(lambda: meter.newest is not None)
        assert meter.newest is not None
        assert meter.newest.gpus == (
            Gpu(0, 0.91, 61.0, 80.0, 612.0, 54.0),
            Gpu(1, None, 61.0, 80.0, None, 54.0),
            Gpu(2),
        )
    finally:
        meter.stop()


def test_a_machine_without_a_driver_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", missing)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    meter = Meter(every_s=60)
    meter.start()
    try:
        until(lambda: meter.newest is not None)
        assert meter.newest is not None and meter.newest.gpus == ()
    finally:
        meter.stop()


@pytest.mark.parametrize(
    ("named", "given"),
    [(None, 4), ("", 0), ("-1", 0), ("0,-1,2", 1), ("2, 3", 2), ("1,4,2", 1), ("GPU-8932f937,1", 2), ("none", 0)],
)
def test_gpus_count_up_to_the_first_name_that_is_none(
    named: str | None, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "this_machine", lambda _: machine_named("H100x4"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert hardware.gpus_given() == given
