"""Draws a finished run as an SVG: `sia-tui show RUN --json | python docs/chart.py > docs/run.svg`."""

from __future__ import annotations

import json
import sys
from typing import Any

from sia_tui.report.svg import Chart, Point, Series, draw


def chart(run: dict[str, Any]) -> Chart:
    dev = [_point(made, "dev") for made in run["generations"] if made["dev"]]
    hidden = [_point(made, "hidden") for made in run["generations"] if made["hidden"]]
    series = [Series("dev", dev, line=False, labels=True), Series("hidden", hidden, line=False)]
    nulls = [(name, found["dev"]) for name, found in run["null_baselines"].items()]
    return Chart(series, nulls, lambda index: f"g{index}")


def _point(made: dict[str, Any], split: str) -> Point:
    found = made[split]
    return Point(made["index"], found["mean"], *found["ci95"], full=made["kept"] is not False)


if __name__ == "__main__":
    print(draw(chart(json.load(sys.stdin))))
