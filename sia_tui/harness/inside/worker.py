"""The process a harness lives in: started by the engine, confined before it imports a line of the harness.

Speaks JSON lines over one inherited socket; the harness' own output goes elsewhere. Everything said here is as
untrusted as the harness, which shares the process: the engine checks it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sia_tui.harness.inside import attempts, confine, recording, sia
else:
    import attempts
    import confine
    import recording
    import sia

REQUEST_LIMIT = 64 * 1024 * 1024
CANCEL_GRACE_S = 0.2
"""How long a cancelled episode may clean up before it is reported without waiting for it."""


def main() -> None:
    setup = json.loads(sys.argv[1])
    control = _control(setup)
    started = time.monotonic()
    try:
        confine.confine(setup["confine"])
    except OSError as error:
        _say(control, {"failed": {"stage": "confine", "kind": "crash", "message": str(error)}})
        os._exit(1)
    if _deserted(control):
        os._exit(1)
    # Of a program's own processes nothing is seen from here; what this one opens is the relay.
    if setup["agent"] is None:
        recording.watch_network()
        _make_room()
        sys.path += [path for path in (setup["harness"], setup["site_packages"]) if path]
    if setup["mode"] == "prepare":
        _prepare(setup, control)
    else:
        asyncio.run(_serve(setup, control, started))
    os._exit(0)


def _control(setup: dict[str, Any]) -> socket.socket:
    """Inherited, or fetched from the engine where a container lies between."""
    if setup["meeting"] is None:
        return socket.socket(fileno=setup["control"])
    guard = importlib.import_module("guard")
    control, setup["lanes"] = guard.fetched(setup["meeting"], len(setup["lanes"]))
    guard.stand(control)
    return control


def _deserted(control: socket.socket) -> bool:
    """The engine is gone already: killed while bubblewrap was being put up, it took only its outer process along."""
    try:
        return control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _make_room() -> None:
    """Takes this package's own names away, but for `sia`, so that a harness may have a `recording.py` of its own."""
    sys.path.remove(str(Path(__file__).parent))
    for name in ("attempts", "confine", "guard", "recording", "worker"):
        sys.modules.pop(name, None)


def _say(control: socket.socket, message: dict[str, Any]) -> None:
    control.setblocking(True)
    control.sendall(_line(message))


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


def _failure(stage: str, error: BaseException, setup: dict[str, Any]) -> dict[str, Any]:
    return {"failed": {"stage": stage, **_described(error, setup["caps"])}}


def _described(error: BaseException, caps: dict[str, int]) -> dict[str, str]:
    """An exception as the trajectory keeps it: the harness' own frames, the last ones if there are too many."""
    complaint: str | None = getattr(error, "complaint", None)
    frames = "".join(traceback.format_exception(error)) if complaint is None else complaint
    if len(frames) > caps["traceback"]:
        frames = "…" + frames[-caps["traceback"] + 1 :]
    message = f"{type(error).__name__}: {error}"
    return {
        "kind": "exception",
        "message": recording.clip(message, caps["message"]),
        "traceback": recording.clip(frames, caps["traceback"]),
    }


def _prepare(setup: dict[str, Any], control: socket.socket) -> None:
    try:
        if (Path(setup["harness"]) / "tools.py").exists():
            prepare = getattr(importlib.import_module("tools"), "prepare", None)
            if prepare is not None:
                prepare(Path(setup["rows"]), Path(setup["tools"]))
    except BaseException as error:  # noqa: BLE001
        _say(control, _failure("prepare", error, setup))
        os._exit(1)
    _say(control, {"prepared": {}})


async def _serve(setup: dict[str, Any], control: socket.socket, started: float) -> None:
    try:
        solve, tools = _loaded(setup)
    except BaseException as error:  # noqa: BLE001
        _say(control, _failure("import", error, setup))
        return
    control.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=control, limit=REQUEST_LIMIT)
    host = _Host(setup, solve, tools, writer)
    writer.write(_line({"ready": {"seconds": time.monotonic() - started}}))
    while line := await reader.readline():
        host.take(json.loads(line))


def _loaded(setup: dict[str, Any]) -> tuple[Any, Any]:
    if setup["agent"] is not None:
        program = importlib.import_module("agent").Agent(setup["agent"], Path(setup["harness"]), Path(setup["rows"]))
        return program.solve, None
    solve = importlib.import_module("harness").solve
    if not inspect.iscoroutinefunction(solve):
        raise TypeError("harness.solve must be an async function")
    if not (Path(setup["harness"]) / "tools.py").exists():
        return solve, None
    tools = importlib.import_module("tools").load(Path(setup["rows"]), Path(setup["tools"]))
    return solve, None if tools is None else recording.Recorded(tools)


class _Host:
    """Runs episodes side by side, one per lane; the engine sees to it that a lane has only one."""

    def __init__(self, setup: dict[str, Any], solve: Any, tools: Any, writer: asyncio.StreamWriter) -> None:
        self._caps: dict[str, int] = setup["caps"]
        self._lanes = [sia.Lane(fd) for fd in setup["lanes"]]
        self._solve = solve
        self._tools = tools
        self._writer = writer
        self._running: dict[int, asyncio.Task[None]] = {}
        self._cancelled: dict[int, asyncio.Event] = {}
        self._attempts: dict[int, attempts.Attempts] = {}

    def take(self, message: dict[str, Any]) -> None:
        if "cancel" in message:
            event = self._cancelled.get(message["cancel"]["id"])
            if event is not None:
                event.set()
            return
        if "said" in message:
            asked = self._attempts.get(message["said"]["id"])
            if asked is not None:
                asked.hear(message["said"]["text"])
            return
        request = message["solve"]
        self._cancelled[request["id"]] = asyncio.Event()
        self._running[request["id"]] = asyncio.create_task(self._episode(request))

    async def _episode(self, request: dict[str, Any]) -> None:
        number = request["id"]
        record = recording.Record(self._caps["tool_calls"], self._caps["tool_text"])
        outcome = await self._outcome(request, record)
        while recording.stray:
            record.add(recording.DENIED, *recording.stray.popleft(), 0.0)
        outcome |= {"id": number, "tool_calls": record.entries}
        outcome["tool_calls_dropped"] = record.dropped
        del self._cancelled[number], self._running[number]
        self._attempts.pop(number, None)
        self._writer.write(_line({"done": outcome}))

    async def _outcome(self, request: dict[str, Any], record: recording.Record) -> dict[str, Any]:
        """The harness' answer or why there is none. A harness that swallows its cancellation is left behind."""
        is_open = True
        asked = self._offered(request)
        case = sia.Case(request["case"]["id"], request["case"]["inputs"], asked)
        llm = sia.LLM(self._lanes[request["lane"]], lambda: is_open)
        task = asyncio.create_task(self._solved(case, llm, record))
        stop = asyncio.create_task(self._cancelled[request["id"]].wait())
        try:
            await asyncio.wait({task, stop}, timeout=request["deadline_s"], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                is_open = False
                task.cancel()
                await asyncio.wait({task}, timeout=CANCEL_GRACE_S)
                why = "cancelled" if stop.done() else f"no answer within {request['deadline_s']:g} s"
                complaint = recording.clip(record.complaint, self._caps["traceback"])
                return _unanswered({"kind": "timeout", "message": why, "traceback": complaint})
        finally:
            is_open = False
            stop.cancel()
            if asked is not None:
                asked.close()
        return self._judged(task)

    def _offered(self, request: dict[str, Any]) -> attempts.Attempts | None:
        if not request["attempts"]:
            return None
        number = request["id"]

        def ask(answer: str) -> None:
            self._writer.write(_line({"attempt": {"id": number, "answer": answer}}))

        self._attempts[number] = attempts.Attempts(request["attempts"], self._caps["answer"], ask)
        return self._attempts[number]

    async def _solved(self, case: sia.Case, llm: sia.LLM, record: recording.Record) -> Any:
        recording.current.set(record)
        try:
            return await self._solve(case, llm, self._tools)
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"the harness raised {type(error).__name__}") from error

    def _judged(self, task: asyncio.Task[Any]) -> dict[str, Any]:
        if task.cancelled():
            return _unanswered(_described(asyncio.CancelledError("the harness cancelled itself"), self._caps))
        error = task.exception()
        if error is not None:
            return _unanswered(_described(error, self._caps))
        answer = task.result()
        fault = _fault(answer, self._caps["answer"])
        if fault:
            return _unanswered({"kind": "bad_answer", "message": fault, "traceback": ""})
        value = None if answer.value is None else recording.clip(answer.value, self._caps["answer"])
        notes = _plain(answer.notes, self._caps["notes"])
        return {"answer": value, "source": answer.source, "notes": notes, "error": None}


def _unanswered(error: dict[str, str]) -> dict[str, Any]:
    return {"answer": None, "source": "policy", "notes": {}, "error": error}


def _fault(answer: object, limit: int) -> str:
    if not isinstance(answer, sia.Answer):
        return f"solve returned {type(answer).__name__}, not an Answer"
    if answer.value is not None and not issubclass(type(answer.value), str):
        return f"Answer.value is {type(answer.value).__name__}, not a str or None"
    if answer.value is not None and len(answer.value) > limit:
        return f"Answer.value has {len(answer.value)} characters, at most {limit} are taken"
    if answer.source not in ("policy", "tool"):
        return "Answer.source is neither 'policy' nor 'tool'"
    if not isinstance(answer.notes, dict):
        return f"Answer.notes is {type(answer.notes).__name__}, not a dict"
    return ""


def _plain(notes: dict[str, Any], limit: int) -> dict[str, Any]:
    """Notes as JSON can carry them: a value that cannot be is shown as code, and too much is cut to one text."""
    try:
        text = json.dumps(notes, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        notes = {str(key): recording.shown(value, limit) for key, value in notes.items()}
        text = json.dumps(notes, ensure_ascii=False)
    if len(text) > limit:
        return {"clipped": recording.clip(text, limit // 3)}
    plain: dict[str, Any] = json.loads(recording.clip(text, limit))
    return plain
