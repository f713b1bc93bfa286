"""Untrusted text made safe to show: control, escape and bidi characters become visible marks."""

from __future__ import annotations

import re
import unicodedata

_KEPT = {"\n", "\t"}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_ODD = re.compile("[^\n\t -~\u3000-\u3029\u4e00-\u9fa5\uff01-\uff5e]")
"""Worth a look one by one: the rest, most of any text, is known to steer nothing."""

_WIDE = re.compile("[^\x00-\x7f]")
_HALF = re.compile("[\ud800-\udfff]")


def _mark(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"<U+{code:04X}>"


def _steers(char: str) -> bool:
    return char not in _KEPT and unicodedata.category(char) in _HIDDEN


def is_text(text: str) -> bool:
    """Whether it can be written anywhere: what an argument or JSON brings may hold half a character, or a byte that is none."""
    return not _HALF.search(text)


def escaped(text: str) -> str:
    """JSON that reads the same, with every such character as its escape."""
    return _ODD.sub(lambda odd: _escape(odd[0]) if _steers(odd[0]) else odd[0], text)


def in_ascii(text: str) -> str:
    """JSON that reads the same, for whoever takes nothing else."""
    return _WIDE.sub(lambda wide: _escape(wide[0]), text)


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def clean(text: str) -> str:
    """`text` with every invisible or terminal-steering character replaced by a mark; newline and tab stay."""
    # What Python calls printable has none of them, which is known a hundred times as fast.
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return _ODD.sub(lambda odd: _mark(odd[0]) if _steers(odd[0]) else odd[0], text)


def last_line(error: BaseException) -> str:
    """What an error of many lines comes to, a remote process' traceback for one; its type where it says nothing."""
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__).strip()


def one_line(text: str, width: int = 200) -> str:
    """Cleaned, on one line, cut to `width` characters with an ellipsis."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
