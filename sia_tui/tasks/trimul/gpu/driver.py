"""Memory of a GPU that two processes see, by CUDA's driver: what `cuda.h` calls virtual memory management.

A block is created, exported as a file descriptor, and mapped by whoever is given that; so it passes through namespaces,
which CUDA's own handles between processes do not. Structures as in CUDA 13.1's header, of which these have not changed
since 11. Never yet run: this was written on a machine without a GPU.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_int, c_size_t, c_ubyte, c_uint64, c_ushort, c_void_p
from typing import Any, Final

_DEVICE, _PINNED, _DESCRIPTOR, _READ_WRITE, _MINIMUM = 1, 1, 1, 3, 0


class DriverFailed(RuntimeError):
    """A call of the driver that did not succeed."""


class _Location(ctypes.Structure):
    _fields_ = (("type", c_int), ("id", c_int))


class _Flags(ctypes.Structure):
    _fields_ = (("compression", c_ubyte), ("rdma", c_ubyte), ("usage", c_ushort), ("reserved", c_ubyte * 4))


class Properties(ctypes.Structure):
    """CUmemAllocationProp: 32 bytes."""

    _fields_ = (
        ("type", c_int),
        ("handle_types", c_int),
        ("location", _Location),
        ("win32", c_void_p),
        ("flags", _Flags),
    )


class Access(ctypes.Structure):
    """CUmemAccessDesc: 12 bytes."""

    _fields_ = (("location", _Location), ("flags", c_int))


_FUNCTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "cuMemGetAllocationGranularity": (POINTER(c_size_t), POINTER(Properties), c_int),
    "cuMemCreate": (POINTER(c_uint64), c_size_t, POINTER(Properties), c_uint64),
    "cuMemExportToShareableHandle": (c_void_p, c_uint64, c_int, c_uint64),
    "cuMemImportFromShareableHandle": (POINTER(c_uint64), c_void_p, c_int),
    "cuMemAddressReserve": (POINTER(c_uint64), c_size_t, c_size_t, c_uint64, c_uint64),
    "cuMemMap": (c_uint64, c_size_t, c_size_t, c_uint64, c_uint64),
    "cuMemSetAccess": (c_uint64, c_size_t, POINTER(Access), c_size_t),
    "cuMemUnmap": (c_uint64, c_size_t),
    "cuMemAddressFree": (c_uint64, c_size_t),
    "cuMemRelease": (c_uint64,),
}


class Driver:
    """libcuda, for the first GPU that this process sees. The thread must have a context already. Raises DriverFailed."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise DriverFailed(f"no CUDA driver: {error}") from None
        for name, arguments in _FUNCTIONS.items():
            getattr(self._library, name).argtypes = arguments

    def create(self, size: int) -> tuple[int, int]:
        """(descriptor, bytes): at least `size`, a whole number of the driver's pages."""
        wanted = Properties(type=_PINNED, handle_types=_DESCRIPTOR, location=_Location(_DEVICE, 0))
        page, handle, descriptor = c_size_t(), c_uint64(), c_int()
        self._call("cuMemGetAllocationGranularity", byref(page), byref(wanted), _MINIMUM)
        whole = -(-size // page.value) * page.value
        self._call("cuMemCreate", byref(handle), whole, byref(wanted), 0)
        self._call("cuMemExportToShareableHandle", byref(descriptor), handle, _DESCRIPTOR, 0)
        self._call("cuMemRelease", handle)
        return descriptor.value, whole

    def map(self, descriptor: int, whole: int) -> int:
        """Where the block stands from now on."""
        handle, address = c_uint64(), c_uint64()
        self._call("cuMemImportFromShareableHandle", byref(handle), c_void_p(descriptor), _DESCRIPTOR)
        self._call("cuMemAddressReserve", byref(address), whole, 0, 0, 0)
        self._call("cuMemMap", address, whole, 0, handle, 0)
        self._call("cuMemRelease", handle)
        access = Access(_Location(_DEVICE, 0), _READ_WRITE)
        self._call("cuMemSetAccess", address, whole, byref(access), 1)
        return address.value

    def unmap(self, address: int, whole: int) -> None:
        self._call("cuMemUnmap", address, whole)
        self._call("cuMemAddressFree", address, whole)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise DriverFailed(f"{name} returned {status}")
