"""Starts the worker: a script is compiled at every start, a module once. Of what asyncio imports TLS is half, and there is
no network to use it on; harness code may still import it."""

import sys

sys.modules["ssl"] = None  # type: ignore[assignment]
import worker  # type: ignore[import-not-found] # noqa: E402

del sys.modules["ssl"]
worker.main()
