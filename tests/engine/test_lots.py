"""An episode that is late is begun on another node too; whichever ends first counts, and it counts once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.core.episodes import Case, Score
from sia_tui.engine import lots, rollout
from sia_tui.engine.crew import Crew, Harness
from sia_tui.engine.lots import Lot, Trial
from sia_tui.engine.rollout import Terms, _Pass
from sia_tui.harness.workers import Outcome, WorkerLost
