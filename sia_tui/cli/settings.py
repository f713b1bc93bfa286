"""`sia-tui config`: a person's own settings as they are taken, where they lie, and what may be said in them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sia_tui.cli.main import DONE, UsageError
from sia_tui.config import ConfigError, RunConfig
from sia_tui.config.user import UserConfig, load_user
from sia_tui.core.text import one_line
from sia_tui.person import user_file, user_folder


def config(options: argparse.Namespace) -> int:
    return {"show": _show, "path": _path, "schema": _schema}[options.action](options)


def _path(options: argparse.Namespace) -> int:
    print(
        json.dumps({"file": str(user_file()), "themes": str(user_folder() / "themes")}) if options.json else user_file()
    )
    return DONE


def _schema(options: argparse.Namespace) -> int:
    """JSON schemas of a run's config and of the user's file, for editors and scripts."""
    told = {"run": RunConfig.model_json_schema(), "user": UserConfig.model_json_schema()}
    print(json.dumps(told, ensure_ascii=False, indent=2))
    return DONE


def _show(options: argparse.Namespace) -> int:
    try:
        found = load_user()
    except ConfigError as error:
        raise UsageError(str(error)) from error
    told = _told(found, options.keys)
    print(json.dumps(told, ensure_ascii=False, indent=2) if options.json else "\n".join(_lines(told)))
    return DONE


def _told(found: UserConfig, keys: bool) -> dict[str, Any]:
    from sia_tui.tui.theme import TEXTUALS, THEMES, own_themes

    own, faults = own_themes(user_folder() / "themes")
    themes = [theme.name for theme in (*THEMES, *own)]
    if found.ui.theme not in (*themes, *TEXTUALS):
        faults.append(f"ui.theme: there is no theme {found.ui.theme}")
    bindings: dict[str, list[str]] = {}
    if keys or found.keys:
        from sia_tui.tui.keymap import faults as clashes
        from sia_tui.tui.keymap import known

        bindings = known() if keys else {}
        faults += clashes(found.keys)
    notify = found.notify
    ways = [name for name in ("command", "webhook", "ntfy") if notify is not None and getattr(notify, name)]
    return {
        "file": str(user_file()),
        "exists": user_file().is_file(),
        "ui": found.ui.model_dump(),
        "themes": themes,
        "keys": found.keys,
        "notify": {"by": ways, "hosts": list(notify.hosts), "on": list(notify.on)} if notify else None,
        "bindings": bindings,
        "faults": faults,
    }


def _lines(told: dict[str, Any]) -> list[str]:
    notify = told["notify"]
    lines = [
        f"file    {told['file']}{'' if told['exists'] else ' (none: these are the defaults)'}",
        f"theme   {told['ui']['theme']}; there are {', '.join(told['themes'])} and Textual's",
        f"ascii   {'yes' if told['ui']['ascii'] else 'no'}",
        *[f"keys    {name}: {keys}" for name, keys in told["keys"].items()],
        # Addresses may hold keys: only their hosts are shown.
        f"notify  {', '.join(notify['by'])} {' '.join(notify['hosts'])} on {', '.join(notify['on'])}"
        if notify
        else "notify  nobody",
        *[f"        {name:<28} {' '.join(keys)}" for name, keys in told["bindings"].items()],
        *[f"! {fault}" for fault in told["faults"]],
    ]
    return [one_line(line, 300) if not line.startswith(" ") else line for line in lines]
