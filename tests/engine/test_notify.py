"""A person is called by a command and by real HTTP on the loopback; whatever fails, the run does not notice."""

from __future__ import annotations

import json
import shlex
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia_tui.config import RunConfig
from sia_tui.config.notify import NotifyConfig
from sia_tui.core import events as ev
from sia_tui.core.contract import BY, Contract
from sia_tui.core.fold import advance
from sia_tui.core.state import State, Step
from sia_tui.core.text import clean
from sia_tui.engine import notify
from sia_tui.engine.notify import Notice, Notifier, notices
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from tests.core.story import tell_story
from tests.tasks.processes import gone
from tests.tui.runs import make_run
from tests.tui.soiled import soiled_run
from tests.tui.writer import writing


class Server(HTTPServer):
    """Keeps what it was sent; answers as `status` says, or not before `go` where it is set to hang."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.hangs = False
        self.go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.hangs:
            self.server.go.wait(30)
        self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.go.set()
        made.shutdown()


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return make_run(tmp_path / "r", "training")


def called(paths: RunPaths, config: NotifyConfig, *events: ev.Event) -> list[str]:
    """The faults of a notifier that lived while these were recorded."""
    with closing(RunReader(paths.db)) as reader:
        seen = reader.log()[-1].seq
    notifier = Notifier(paths, "/ws of ana", config, seen)
    with writing(paths.root) as run:
        for event in events:
            run.store.record(event)
    notifier.stop()
    return list(notifier.faults())


def test_a_gate_is_told_with_the_verbs_and_the_hash_that_answer_it(tmp_path: Path, server: Server) -> None:
    paths = make_run(tmp_path / "r", "patch_gate")
    told = tmp_path / "told.json"
    config = NotifyConfig(
        command=("sh", "-c", f"cat > {told}"), webhook=f"{server.url}/hook?key=secret", ntfy=f"{server.url}/mine"
    )
    notifier = Notifier(paths, "/ws of ana", config, 0)
    notifier.stop()
    assert list(notifier.faults()) == []
    with closing(RunReader(paths.db)) as reader:
        gate = reader.state().waiting
    assert gate is not None
    hooked = [json.loads(body) for path, _, body in server.got if path == "/hook?key=secret"]
    last = hooked[-1]
    assert [one["gate"] for one in hooked] == ["gate-4"], "the others are answered"
    assert last["hash"] == gate.hash and last["title"] == "r: go ahead? harness: Snap answers to the list of charges"
    assert last["answer"][0] == f"sia-tui approve r/gate-4 --hash {gate.hash[:12]} --workspace '/ws of ana'"
    assert json.loads(told.read_text()) == last
    topics = [(headers, body.decode()) for path, headers, body in server.got if path == "/mine"]
    assert topics[-1][0]["Title"] == last["title"] and "sia-tui reject" in topics[-1][1]


def one_by_one(log: list[ev.Recorded], auto: bool = False) -> Iterator[tuple[Step | None, Notice]]:
    """What a person is told who is told of each event as it comes, with the step under way."""
    state = State()
    for entry in log:
        told, state = list(notices(state, [entry], "/ws", auto)), advance(state, entry)
        yield from ((state.current, one) for one in told)


def test_a_title_in_another_script_and_nothing_that_steers_a_terminal_or_a_header(
    paths: RunPaths, server: Server
) -> None:
    with closing(RunReader(paths.db)) as reader:
        log = reader.log()
    told = [one for _, one in one_by_one(log)]
    hostile = next(one for one in told if "盗窃" in one.title)
    notify._ntfy(server.url, hostile, 5)
    [(_, headers, body)] = server.got
    title = str(make_header(decode_header(headers["Title"])))
    assert "盗窃" in title and "\n" not in headers["Title"] and "\x1b" not in title + body.decode()


NASTY = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\x9b\x00\x7f\u202e\u2066\u200b\ud800\u2028\r\n\t")))


def steering(said: str) -> set[str]:
    return {
        char for char in said if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(Notice, NASTY, st.just("gate"), NASTY, NASTY, NASTY, NASTY | st.none(), NASTY, st.tuples(NASTY, NASTY))
)
def test_whatever_a_notice_holds_nothing_in_it_steers_whoever_is_called(
    server: Server, tmp_path: Path, notice: Notice
) -> None:
    told = tmp_path / "told"
    server.got.clear()
    notify._run(("sh", "-c", f"cat > {told}"), notice, 10)
    notify._webhook(server.url, notice, 10)
    notify._ntfy(server.url, notice, 10)
    (_, _, hooked), (_, headers, topic) = server.got
    assert hooked == told.read_bytes() and json.loads(hooked)["title"] == clean(notice.title)
    title = str(make_header(decode_header(headers["Title"])))
    for said in (hooked.decode(), topic.decode(), *headers.values(), title, *_texts(json.loads(hooked))):
        assert steering(said) == set()
    assert "\n" not in title


def _texts(told: dict[str, Any]) -> Iterator[str]:
    for value in told.values():
        yield from value if isinstance(value, list) else [value] if isinstance(value, str) else []


def test_of_a_run_in_which_every_word_is_hostile_an_answer_is_one_command(tmp_path: Path) -> None:
    paths = soiled_run(tmp_path / "r", "patch_gate")
    with closing(RunReader(paths.db)) as reader:
        told = list(notices(State(), reader.log(), "/ws of ana", auto=False))
    [gate] = [one for one in told if one.gate]
    for command, verb in zip(gate.answer, ("approve", "reject"), strict=True):
        words = shlex.split(command)
        assert words[:2] == ["sia-tui", verb] and words[3] == "--hash" and words[5:7] == ["--workspace", "/ws of ana"]
        assert "\n" not in command and clean(command) == command and words[2].startswith("r")


@settings(max_examples=20)
@given(st.builds(Contract, steps=st.integers(1, 3), dev=st.sampled_from([None, 0.4, 0.6])), st.data())
def test_a_person_is_called_for_gates_that_wait_for_one_and_told_why_a_standing_yes_ended(
    limits: Contract, data: st.DataObject
) -> None:
    log = tell_story(lambda options: data.draw(st.sampled_from(options)), contract=limits)
    told = [one for _, one in one_by_one(log)]
    given = [entry.event.verdict for entry in log if isinstance(entry.event, ev.VerdictGiven)]
    own, others = (
        {verdict.gate for verdict in given if verdict.by.startswith(BY) is by_contract} for by_contract in (False, True)
    )
    called = {one.gate for one in told if one.gate}
    assert own <= called and not called & others
    ended = [entry.event.why for entry in log if isinstance(entry.event, ev.ContractEnded)]
    last = [one for one in told if "the standing yes ended" in one.title]
    assert [one.title for one in last] == [f"r: the standing yes ended: {why}" for why in ended]
    for one in last:
        assert one.kind == "alarm" and one.gate and one.gate not in others and f"{one.hash}"[:12] in one.answer[0]
        assert one.wanted(("gate",)) and one.wanted(("alarm",)) and not one.wanted(("end",))
    for step, one in one_by_one(log, auto=True):
        assert one.gate is None or (step is not None and step.held), "the automatic gate answers the rest"
    # All at once, as after a night: what is answered by then is not asked.
    assert not {one.gate for one in notices(State(), log, "/ws", auto=False)} & (own | others)


def test_alarms_and_ends_are_told_and_what_was_not_asked_for_is_not(paths: RunPaths, server: Server) -> None:
    alarm, end = ev.Alarmed("canary", "k", "the key was opened"), ev.RunEnded("failed", "no room")
    assert called(paths, NotifyConfig(webhook=server.url, on=("alarm", "end")), alarm, end) == []
    assert [json.loads(body)["kind"] for _, _, body in server.got] == ["alarm", "end"]
    assert called(paths, NotifyConfig(webhook=server.url, on=("gate",)), alarm) == []
    assert len(server.got) == 2


@pytest.mark.parametrize("way", ["refused", "down", "command", "missing"])
def test_a_call_that_fails_is_one_line_without_the_key(paths: RunPaths, server: Server, way: str) -> None:
    server.status = 500
    config = {
        "refused": NotifyConfig(webhook=f"{server.url}/secret?key=secret"),
        "down": NotifyConfig(ntfy="http://127.0.0.1:9/secret"),
        "command": NotifyConfig(command=("sh", "-c", "exit 3")),
        "missing": NotifyConfig(command=("no-such-program", "secret")),
    }[way]
    faults = called(paths, config, ev.RunEnded("done", "all steps made"))
    assert len(faults) == 1 and "the run goes on" in faults[0] and "secret" not in faults[0]


def test_a_server_that_hangs_is_left_at_the_deadline(paths: RunPaths, server: Server) -> None:
    server.hangs = True
    faults = called(paths, NotifyConfig(webhook=server.url, deadline_s=0.3), ev.RunEnded("done", "all steps made"))
    assert faults and server.got == []


def test_a_key_comes_from_the_environment(paths: RunPaths, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOPIC", "mine")
    assert called(paths, NotifyConfig(ntfy=f"{server.url}/$MY_TOPIC"), ev.RunEnded("done", "x")) == []
    assert server.got[0][0] == "/mine"


async def test_what_a_command_started_ends_with_it_at_the_deadline(paths: RunPaths, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    config = NotifyConfig(command=("sh", "-c", f"sleep 60 & echo $! > {pid}; wait"), deadline_s=2.0)
    faults = called(paths, config, ev.RunEnded("done", "all steps made"))
    assert faults and "took more than" in faults[0]
    await gone(pid.read_text().strip())


def test_a_log_that_cannot_be_read_is_said_once(paths: RunPaths) -> None:
    paths.db.write_bytes(b"no store" * 1000)
    notifier = Notifier(paths, "/ws", NotifyConfig(command=("true",)), 0)
    notifier._look()
    notifier.stop()
    assert len(list(notifier.faults())) == 1


def test_whom_the_users_own_file_calls_is_said_at_the_start(
    paths: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sia-tui").mkdir()
    (tmp_path / "sia-tui" / "config.yaml").write_text("notify: {webhook: 'https://hooks.example.org/secret'}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    said: list[str] = []
    report: Any = SimpleNamespace(say=said.append)
    config = RunConfig.model_validate({"task": {"name": "lawbench"}})
    made = notify.called(paths, Workspace(tmp_path), config, report)
    assert made is not None
    made.stop()
    assert said == ["hooks.example.org receives calls: what is to be decided, and its hash"]


@given(*[st.text()] * 3)
def test_nothing_that_is_sent_steers_a_terminal(run: str, title: str, text: str) -> None:
    notice = Notice(run, "gate", "2026-01-05T07:00:00+00:00", title, text, run, title, (text,))
    sent = json.dumps(notice.data, ensure_ascii=False)
    assert clean(sent) == sent, "JSON escapes C0, and the rest is cleaned"
    assert [clean(run), clean(text)] == [notice.data["run"], notice.data["text"]]
