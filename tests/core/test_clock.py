"""A recorded time as its reader's own clock has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.clock import LONGEST, when

AT = "2026-01-05T21:03:27.040+00:00"
NOW = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_a_time_is_the_readers_own(zone: str) -> None:
    own = {"UTC": "21:03:27", "Asia/Tokyo": "06:03:27", "America/Los_Angeles": "13:03:27"}
    assert when(AT, NOW) == own[zone]


def test_another_day_is_named_by_the_readers_calendar(zone: str) -> None:
    later = NOW + timedelta(hours=14)
    own = {"UTC": "05 Jan 21:03", "Asia/Tokyo": "06:03:27", "America/Los_Angeles": "05 Jan 13:03"}
    assert when(AT, later) == own[zone], "in Tokyo it is the sixth, then as now"
    assert when(AT, NOW + timedelta(days=400)) == ("06 Jan 2026" if zone == "Asia/Tokyo" else "05 Jan 2026")


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1)))
def test_a_column_of_times_has_one_width(now: datetime) -> None:
    assert len(when(AT, now)) <= LONGEST
