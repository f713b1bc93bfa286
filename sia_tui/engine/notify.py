"""Calls a person from where the engine runs. One more reader of the run's log, in a thread of its own.

Nothing that happens in here can hold up or fail the run: every call has a deadline, and one that fails is a line.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from email.header import Header
from urllib.parse import urlsplit

from sia_tui.agents.llm.roles import is_local
from sia_tui.children import end_group
from sia_tui.config import ConfigError, RunConfig
from sia_tui.config.notify import Kind, NotifyConfig
from sia_tui.config.run import calls
from sia_tui.config.user import load_user
from sia_tui.core import events as ev
from sia_tui.core.fold import advance, fold
from sia_tui.core.gates import Gate
from sia_tui.core.standing import asked
from sia_tui.core.state import State
from sia_tui.core.telling import points
from sia_tui.core.text import clean, one_line
from sia_tui.engine.progress import Reporter
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace

EVERY_S = 0.5


@dataclass(frozen=True)
class Notice:
    """What a person is told, the same by every way."""

    run: str
    kind: Kind
    at: str
    title: str
    text: str
    gate: str | None = None
    hash: str | None = None
    answer: tuple[str, ...] = ()
    """Commands that answer the gate, with its hash."""

    def wanted(self, on: tuple[Kind, ...]) -> bool:
        """A standing yes that ended at a gate is an alarm, and calls whoever wants to hear of gates too."""
        return self.kind in on or (self.gate is not None and "gate" in on)

    @property
    def data(self) -> dict[str, object]:
        """Cleaned: whoever is called may print it as it comes."""
        told = {name: clean(value) if isinstance(value, str) else value for name, value in self.__dict__.items()}
        return {**told, "answer": [clean(command) for command in self.answer]}


def notices(before: State, entries: list[ev.Recorded], workspace: str, auto: bool) -> Iterator[Notice]:
    """Of each event that a person is called for; `before` is the run's state before them all. A gate is told when it comes
    to wait for a person, unless it is answered by now; `auto`: the config's policy answers what is not held."""
    waits, state = asked(fold(entries, before), auto), before
    for entry in entries:
        was, state = asked(state, auto), advance(state, entry)
        gate = waits if waits is not None and was != waits == asked(state, auto) else None
        run = state.run
        match entry.event:
            case ev.ContractEnded(by="the engine", why=why):
                yield _ended(entry, why, gate, state, workspace)
            case ev.Alarmed(kind=kind, detail=detail):
                yield Notice(run, "alarm", entry.at, f"{run}: alarm: {kind}", one_line(detail, 400))
            case ev.RunPaused(by=by, why=why) if why:
                yield Notice(run, "alarm", entry.at, f"{run}: paused by {one_line(by, 60)}", one_line(why, 400))
            case ev.RunEnded(status=status, reason=reason):
                said = f"{one_line(reason, 300)}. {_standing(state)}"
                yield Notice(run, "end", entry.at, f"{run}: {status}", said)
            case _ if gate is not None:
                yield _gate(entry, gate, state, workspace)


def _ended(entry: ev.Recorded, why: str, gate: Gate | None, state: State, workspace: str) -> Notice:
    """A tripwire or a limit: with the gate that the standing yes has left to a person."""
    title = f"{state.run}: the standing yes ended: {one_line(why, 200)}"
    if gate is None:
        return Notice(state.run, "alarm", entry.at, title, "gates ask you again")
    asks = _gate(entry, gate, state, workspace)
    return replace(asks, kind="alarm", title=title, text=f"{asks.title}\n{asks.text}")


def _gate(entry: ev.Recorded, gate: Gate, state: State, workspace: str) -> Notice:
    step = state.step(gate.proposal)
    proposal, found = step.proposal, step.measured
    lines = [one_line(proposal.reason, 300)]
    if proposal.predicted_gain is not None:
        lines.append(f"predicted: {points(proposal.predicted_gain)} points")
    if gate.kind == "keep" and found is not None:
        lines.append(f"measured: {points(found.gain)} [{points(found.lo)}, {points(found.hi)}], n = {found.n}")
    question = "go ahead?" if gate.kind == "step" else "keep it?"
    # A shell reads them, and a name is the log's word.
    name, seen = (shlex.quote(one_line(word)) for word in (f"{state.run}/{gate.id}", gate.hash[:12]))
    place = f"{name} --hash {seen} --workspace {shlex.quote(workspace)}"
    answer = (f"sia-tui approve {place}", f"sia-tui reject {place} --reason '…'")
    title = f"{state.run}: {question} {proposal.lever}: {one_line(proposal.title, 120)}"
    return Notice(state.run, "gate", entry.at, title, "\n".join(filter(None, lines)), gate.id, gate.hash, answer)


def _standing(state: State) -> str:
    dev = state.best.results.get("dev") if state.best else None
    return f"g{state.incumbent} serves, dev {100 * dev.mean:.1f}" if dev else "nothing was measured"


class Notifier:
    """The engine's side: started, asked now and then what failed, given a last moment at the end."""

    def __init__(self, paths: RunPaths, workspace: str, config: NotifyConfig, after: int, auto: bool = False) -> None:
        """Events up to number `after` are known already; `auto`: no gate asks a person but those that are held."""
        self._paths, self._workspace, self._config, self._seen, self._auto = paths, workspace, config, after, auto
        self._faults: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._unread = ""
        """Why the log could not be read when it was last looked at."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="notify", daemon=True)
        self._thread.start()

    def faults(self) -> Iterator[str]:
        """What failed since it was last asked, a line each."""
        while not self._faults.empty():
            yield self._faults.get()

    def stop(self) -> None:
        """What was recorded by now is still sent, within one deadline."""
        self._over.set()
        self._thread.join(self._config.deadline_s + EVERY_S)

    def _follow(self) -> None:
        while not self._over.wait(EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        try:
            with closing(RunReader(self._paths.db)) as reader:
                log = reader.log() if reader.log(after=self._seen) else []
                before = fold(entry for entry in log if entry.seq <= self._seen)
        except (StoreError, ValueError) as error:
            why = one_line(str(error), 200)
            if why != self._unread:
                self._faults.put(f"nobody is called: {why}; the run goes on")
            self._unread = why
            return
        self._unread = ""
        new = [entry for entry in log if entry.seq > self._seen]
        self._seen = new[-1].seq if new else self._seen
        for notice in notices(before, new, self._workspace, self._auto):
            if notice.wanted(self._config.on):
                self._send(notice)

    def _send(self, notice: Notice) -> None:
        """By every way that is set, side by side."""
        ways = [threading.Thread(target=self._try, args=(way, notice), daemon=True) for way in self._ways()]
        end = time.monotonic() + self._config.deadline_s
        for thread in ways:
            thread.start()
        for thread in ways:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._faults.put(
                    f"a call about the {notice.kind} took more than {self._config.deadline_s:g} s; the run goes on"
                )

    def _ways(self) -> Iterator[Callable[[Notice], None]]:
        config = self._config
        if config.command:
            yield lambda notice: _run(config.command or (), notice, config.deadline_s)
        if config.webhook:
            yield lambda notice: _webhook(os.path.expandvars(config.webhook or ""), notice, config.deadline_s)
        if config.ntfy:
            yield lambda notice: _ntfy(os.path.expandvars(config.ntfy or ""), notice, config.deadline_s)

    def _try(self, way: Callable[[Notice], None], notice: Notice) -> None:
        try:
            way(notice)
        except CallFailed as error:
            self._faults.put(f"{one_line(str(error), 200)}; nobody was called about the {notice.kind}, the run goes on")


def called(paths: RunPaths, workspace: Workspace, config: RunConfig, report: Reporter) -> Notifier | None:
    """As the run's config says, or else the user's own; None where nobody is called."""
    try:
        notify = config.notify or load_user().notify
    except ConfigError as error:
        report.say(f"nobody is called: {one_line(str(error), 300)}")
        return None
    if notify is None:
        return None
    away = [host for host in notify.hosts if not is_local(host)]
    if config.agents.egress == "none" and away:
        report.say(f"nobody is called: agents.egress is none, and {away[0]} would be sent what is decided")
        return None
    if config.notify is None:
        # What the config itself sends anywhere is said by the engine.
        for to in calls(notify):
            report.say(to.told)
    with closing(RunReader(paths.db)) as reader:
        known = reader.log()
    after, auto = known[-1].seq if known else 0, config.gate.policy == "auto"
    return Notifier(paths, str(workspace.root), notify, after, auto)


class CallFailed(Exception):
    """In one line that holds no address: a part of it may be a key."""


def _run(command: tuple[str, ...], notice: Notice, deadline_s: float) -> None:
    said, null = json.dumps(notice.data, ensure_ascii=False).encode(), subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True)
    except OSError as error:
        raise CallFailed(f"notify.command: {command[0]}: {error.strerror}") from None
    try:
        process.communicate(said, deadline_s)
    except subprocess.TimeoutExpired:
        raise CallFailed(f"notify.command: {command[0]} took more than {deadline_s:g} s") from None
    finally:
        if process.returncode is None:
            end_group(process.pid)
            process.wait()
    if process.returncode:
        raise CallFailed(f"notify.command: {command[0]} ended with {process.returncode}")


def _webhook(url: str, notice: Notice, deadline_s: float) -> None:
    body = json.dumps(notice.data, ensure_ascii=False).encode()
    _post("notify.webhook", url, body, {"Content-Type": "application/json"}, deadline_s)


def _ntfy(url: str, notice: Notice, deadline_s: float) -> None:
    body = "\n".join([notice.text, *notice.answer])
    headers = {
        "Title": _header(one_line(notice.title, 200)),
        "Priority": "high" if notice.kind != "end" else "default",
        "Tags": {"gate": "question", "alarm": "rotating_light", "end": "checkered_flag"}[notice.kind],
    }
    _post("notify.ntfy", url, clean(body).encode(), headers, deadline_s)


def _header(text: str) -> str:
    """As RFC 2047 has it where there is more than ASCII."""
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=10_000).encode(linesep="")


def _post(way: str, url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> None:
    host = urlsplit(url).hostname or "no host"
    if urlsplit(url).scheme not in ("http", "https"):
        raise CallFailed(f"{way}: no address that begins with http:// or https://")
    try:
        request = urllib.request.Request(url, body, dict(headers), method="POST")
        with urllib.request.urlopen(request, timeout=deadline_s):
            return
    except urllib.error.HTTPError as error:
        raise CallFailed(f"{way}: {host} answered {error.code}") from None
    except Exception as error:  # noqa: BLE001 - whatever a server makes of it, its words may quote the address
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise CallFailed(f"{way}: {host}: {type(reason).__name__}") from None
