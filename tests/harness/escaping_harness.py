# ruff: noqa: F401 - what attempts use is imported here
"""The harness that every attempt runs in. Not imported by the tests: they lay it down as a harness' own file."""

import asyncio
import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

from sia import Answer

LIBC = ctypes.CDLL(None, use_errno=True)
TOLD = json.loads(sys.argv[1])
CONTROL = 3 if TOLD["meeting"] else TOLD["control"]
SAID = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
DONE = {"id": 1, "answer": "right", "source": "policy", "notes": {}, "tool_calls": []}
DONE |= {"tool_calls_dropped": 0, "error": None}


class Answered(Exception):
    """The gateway's answer, other than 200."""

    def __init__(self, status, message):
        super().__init__(message)
        self.errno = status


async def solve(case, llm, tools):
    inputs = case.inputs
    if "answer" in inputs:
        return Answer(eval(inputs["answer"]))
    numbers = json.loads(inputs["calls"])

    def call(name, *arguments):
        """One system call. Raises OSError."""
        values = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
        result = LIBC.syscall(ctypes.c_long(numbers[name]), *values)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    async def ask(path, payload):
        status, body = await llm.lane.ask("POST", path, json.dumps(payload).encode())
        if status != 200:
            raise Answered(status, body.decode("utf-8", "replace"))
        return body.decode()

    def say(message):
        """To the engine, in the worker's name; then nothing, so that only this was said."""
        os.set_blocking(CONTROL, True)
        os.write(CONTROL, json.dumps(message).encode() + b"\n")
        time.sleep(10)

    names = {**globals(), "host": SimpleNamespace(**json.loads(inputs["host"])), "llm": llm, "call": call}
    names |= {"ask": ask, "say": say, "said": SAID, "done": DONE, "control": CONTROL}
    exec("async def attempt():\n" + textwrap.indent(inputs["code"], "    "), names)
    try:
        return Answer(json.dumps({"result": str(await names["attempt"]())}))
    except BaseException as error:
        told = {"error": type(error).__name__, "errno": getattr(error, "errno", None) or 0, "message": str(error)}
        if isinstance(error, asyncio.CancelledError):
            raise
        return Answer(json.dumps(told))
