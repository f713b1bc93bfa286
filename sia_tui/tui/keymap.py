"""Names for every key binding, so that a person can give it other keys: `gate.approve`, `lines.follow`, `app.live`.

Textual rebinds by a binding's id. Ids are given here, once for all, from where a binding is written and what it does;
so no binding can be without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, key_to_character

from sia_tui.tui.pieces import KEYS

OURS = "sia_tui."
_HELD = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
_SUFFIXES = ("Pane", "View", "App", "Screen")


def name_bindings() -> None:
    """Give an id to every binding of the window's classes, as far as they are loaded."""
    for cls in _loaded():
        _name_of(cls)


@cache
def _name_of(cls: type[DOMNode]) -> None:
    bindings = cls._merged_bindings
    if bindings is not None:
        for key, found in bindings.key_to_bindings.items():
            bindings.key_to_bindings[key] = [_named(cls, binding) for binding in found]


@cache
def known() -> dict[str, list[str]]:
    """Every id with its keys, as they are without a keymap."""
    found: dict[str, list[str]] = {}
    for _, bindings in _rooms():
        for name, keys in _by_id(bindings).items():
            found[name] = list(dict.fromkeys([*found.get(name, []), *keys]))
    return dict(sorted(found.items()))


def shown_key(part: DOMNode, name: str) -> str:
    """The first key of the binding of this id, of this part of the window or around it, as a person has set it. Raises
    KeyError for an id that is none there."""
    own = part.app._keymap.get(name)
    keys = {
        binding.id: key
        for node in part.ancestors_with_self
        for key, found in reversed((type(node)._merged_bindings or BindingsMap()).key_to_bindings.items())
        for binding in found
    }
    [first, *_] = _keys(own or "") or [keys[name]]
    shown = part.app.get_key_display(Binding(first, "", ""))
    return "enter" if shown == "⏎" else shown


def shown_keys(part: DOMNode) -> Mapping[str, str]:
    """`KEYS` as this person has set them; what this window has not got stays as it is."""
    found = dict(KEYS)
    for name in KEYS:
        with suppress(KeyError):
            found[name] = shown_key(part, name)
    return found


def faults(keymap: Mapping[str, str]) -> list[str]:
    """One line for each id that is none, for each key that no terminal says, and for each that a rebinding takes away
    from another action."""
    ids = known()
    said = [f"keys.{name}: no such binding; see: sia-tui config show --keys" for name in keymap if name not in ids]
    said += [
        f"keys.{name}: {keymap[name]!r} names no key; the comma's is comma"
        for name in keymap
        if not _keys(keymap[name])
    ]
    said += [
        f"keys.{name}: {key!r} is no key that arrives; such as a, A, f5, ctrl+a, comma"
        for name in keymap
        for key in _keys(keymap[name])
        if not _arrives(key)
    ]
    taken: dict[str, None] = {}
    for room, bindings in _rooms():
        held = {id: _keys(keymap[id]) if id in keymap else keys for id, keys in _by_id(bindings).items()}
        for name in keymap.keys() & held.keys():
            for other in held.keys() - {name}:
                for key in set(held[name]) & set(held[other]):
                    one, two = sorted((name, other)) if other in keymap else (name, other)
                    taken[f"keys.{one}: {key} is {two}'s in the {room}"] = None
    return said + sorted(taken)


def _by_id(bindings: list[tuple[str, Binding]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, binding in bindings:
        if binding.id:
            found.setdefault(binding.id, []).append(key)
    return found


def _keys(text: str) -> list[str]:
    return [_character_to_key(key) if len(key) == 1 else key for part in text.split(",") if (key := part.strip())]


def _arrives(key: str) -> bool:
    """Whether a terminal says such a key. A letter with shift is the capital."""
    *held, last = key.split("+")
    if not set(held) <= _HELD or (held == ["shift"] and len(last) == 1):
        return False
    return last in _named_keys() or key_to_character(last) is not None


@cache
def _named_keys() -> frozenset[str]:
    named = (key.value.rpartition("+")[2] for key in Keys if not key.value.startswith("<"))
    return frozenset((*named, *KEY_NAME_REPLACEMENTS.values()))


def _rooms() -> Iterator[tuple[str, list[tuple[str, Binding]]]]:
    classes = _classes()
    name_bindings()
    for cls in classes:
        if isinstance(cls._merged_bindings, BindingsMap):
            pairs = [(key, one) for key, found in cls._merged_bindings.key_to_bindings.items() for one in found]
            yield _room(cls), [(key, one) for key, one in pairs if one.id]


def _classes() -> list[type[DOMNode]]:
    # Whatever binds keys has to be loaded to be known.
    import_module("sia_tui.tui.replayed")
    for module in iter_modules(import_module("sia_tui.tui.screens").__path__):
        import_module(f"sia_tui.tui.screens.{module.name}")
    return _loaded()


def _loaded() -> list[type[DOMNode]]:
    found, left = list[type[DOMNode]](), [DOMNode]
    while left:
        for cls in left.pop().__subclasses__():
            left.append(cls)
            if cls.__module__.startswith(OURS):
                found.append(cls)
    return sorted(set(found), key=lambda cls: (len(cls.__mro__), cls.__name__))


def _named(cls: type[DOMNode], binding: Binding) -> Binding:
    owner = next((base for base in cls.__mro__ if _writes(base, binding)), None)
    if binding.id is not None or owner is None or not owner.__module__.startswith(OURS):
        return binding
    what = binding.action if "(" not in binding.action else binding.description
    return replace(binding, id=f"{_room(owner)}.{_slug(what)}")


def _writes(cls: type, binding: Binding) -> bool:
    written = Binding.make_bindings(cls.__dict__.get("BINDINGS", ()))
    return any((one.action, one.description) == (binding.action, binding.description) for one in written)


def _room(cls: type) -> str:
    name = cls.__name__
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix) or name
    return "app" if name == "Sia" else _slug(re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.removeprefix("app.").lower()).strip("-")
