"""One run for all that is to be taken out of a run."""

from __future__ import annotations

import pytest

from tests.cli.exported import Shop, make_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))
