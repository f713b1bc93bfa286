"""Takes the words out of a copy of a run's database and out of its config."""

from __future__ import annotations

import json
import secrets
import sqlite3
import zlib
from typing import Any

import yaml

from sia_tui.core.codec import decode, encode
from sia_tui.core.redaction import Redaction
from sia_tui.store.trajectories import pack, unpack

_PLACE = "/redacted"
_ADDRESS = "http://redacted.invalid"
_SHARING = ("cluster", "share")
"""Name machines and groups, and decide nothing."""
_ARGUMENTS = frozenset(["command", "programs"])


def redact(copy: sqlite3.Connection) -> None:
    """Of all tables; the copy is to be vacuumed afterwards. A redacted log no longer fits its hashes."""
    redaction = Redaction(secrets.token_bytes(32))
    copy.execute("pragma secure_delete = on")
    copy.execute("update log_end set digest = ''")
    for seq, kind, data in copy.execute("select seq, kind, data from events").fetchall():
        _, said = encode(redaction.of(decode(kind, json.loads(data))))
        copy.execute("update events set data = ? where seq = ?", (json.dumps(said, ensure_ascii=False), seq))
    for episode, body in copy.execute("select episode, body from trajectories").fetchall():
        attempt, score = unpack(body)
        packed = zlib.compress(pack(redaction.of(attempt), redaction.of(score)))
        copy.execute("update trajectories set body = ? where episode = ?", (packed, episode))
    for column in ("answer", "failure"):
        for (said,) in copy.execute(f"select distinct {column} from episodes where {column} is not null").fetchall():
            plain = redaction.kind(said) if column == "failure" else redaction.text(said)
            copy.execute(f"update episodes set {column} = ? where {column} = ?", (plain, said))
    for id, *texts in copy.execute("select id, sent, said from agent_calls").fetchall():
        copy.execute(
            "update agent_calls set sent = ?, said = ? where id = ?",
            (*(_messages(redaction, one) for one in texts), id),
        )


def _messages(redaction: Redaction, said: str) -> str:
    kept = [
        {name: value if name == "role" else redaction.text(str(value)) for name, value in message.items()}
        for message in json.loads(said)
    ]
    return json.dumps(kept)


def config(text: str) -> str:
    """Without the paths, addresses and commands of this machine."""
    told = {name: value for name, value in (yaml.safe_load(text) or {}).items() if name not in _SHARING}
    return yaml.safe_dump(_plain(told), allow_unicode=True, sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: [_PLACE] if name in _ARGUMENTS and one else _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, str) and "://" in value:
        return _ADDRESS
    return _PLACE if isinstance(value, str) and value.startswith(("/", "~")) else value
