"""The process a kernel runs in: started confined, loads one library, and calls it when told.

Standard library only. Once the library is loaded all of this process is the kernel's: it may answer what it likes, when it
likes. So nothing here is believed. The inputs are a mapping that cannot be written, the outputs are read by the other side
as soon as it is told they are there, and time is the processor time of this process as the kernel counts it for others,
up to the moment the outputs have been read.

Descriptor 0 is a socket: in come a header (JSON) with the two memory files, then a byte for every call; out go "up" before
the library is loaded, "loaded" or "failed: ..." after, and a byte for every call done.
"""

from __future__ import annotations

import ctypes
import json
import socket
import sys
from pathlib import Path
from typing import Any

_READ, _WRITE, _SHARED, _PRIVATE, _ANONYMOUS, _HUGE_PAGES = 1, 2, 1, 2, 0x20, 14


class _Memory:
    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        self._libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        self._libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def shared(self, descriptor: int, size: int, writable: bool) -> int:
        return self._map(size, _READ | (_WRITE if writable else 0), _SHARED, descriptor)

    def scratch(self, size: int) -> int:
        address = self._map(size, _READ | _WRITE, _PRIVATE | _ANONYMOUS, -1)
        self._libc.madvise(address, size, _HUGE_PAGES)
        return address

    def _map(self, size: int, protection: int, flags: int, descriptor: int) -> int:
        address = self._libc.mmap(None, size, protection, flags, descriptor, 0)
        if address in {None, ctypes.c_void_p(-1).value}:
            raise OSError(ctypes.get_errno(), "mmap")
        return int(address)


def main() -> None:
    folder = Path(sys.argv[1])
    control = socket.socket(fileno=0)
    control.sendall(b"up\n")
    header, descriptors, _, _ = socket.recv_fds(control, 65536, 2)
    told = json.loads(header)
    try:
        if told["preload"]:
            ctypes.CDLL(told["preload"], mode=ctypes.RTLD_GLOBAL)
        function = ctypes.CDLL(str(folder / told["library"])).trimul
        arguments = _arguments(told, descriptors)
    except (OSError, AttributeError) as error:
        control.sendall(f"failed: {error}\n".encode())
        return
    control.sendall(b"loaded\n")
    while control.recv(1):
        function(*arguments)
        control.sendall(b".")


def _arguments(told: dict[str, Any], descriptors: list[int]) -> list[Any]:
    memory = _Memory()
    inputs = memory.shared(descriptors[0], told["inputs"], writable=False)
    outputs = memory.shared(descriptors[1], told["outputs"], writable=True)
    pointers = [inputs + start for start in told["starts"]]
    pointers += [outputs + told["out"], memory.scratch(told["work"])]
    return [*map(ctypes.c_int, told["sizes"]), *map(ctypes.c_void_p, pointers)]


if __name__ == "__main__":
    main()
