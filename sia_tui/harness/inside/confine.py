"""Gives up, for good, what a harness must not have. Called once, before any harness code is imported.

Standard library and ctypes only: it runs inside the sandbox. It must run while the process has a single thread, because
Landlock and seccomp bind the calling thread and the threads it starts later.
"""

from __future__ import annotations

import base64
import ctypes
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterable, Mapping
from typing import Any

NEEDED_ABI = 3
"""Below it Landlock does not stop files elsewhere from being truncated, so it is no isolation on its own."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 38, 47

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG, _REFER, _TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_RIGHTS = {
    "list": _READ_DIR,
    "read": _READ_FILE | _READ_DIR,
    "run": _EXECUTE | _READ_FILE | _READ_DIR,
    "write": _WRITE_FILE
    | _READ_FILE
    | _TRUNCATE
    | _READ_DIR
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_REG
    | _REFER,
}

_LIMITS = {
    "memory": resource.RLIMIT_AS,
    "cpu": resource.RLIMIT_CPU,
    "file": resource.RLIMIT_FSIZE,
    "files": resource.RLIMIT_NOFILE,
    "core": resource.RLIMIT_CORE,
    "processes": resource.RLIMIT_NPROC,
}


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("fd", ctypes.c_int32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def confine(plan: Mapping[str, Any]) -> None:
    """Carries out the plan the engine wrote: limits, capabilities, Landlock rules, then the seccomp program.

    `level` "none" keeps to resource limits and to dying with the engine. Whatever the level promises and cannot do
    raises OSError, so that a worker never runs a harness less confined than was recorded.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if plan.get("uid") is not None:
        _become(libc, plan["uid"])
    _set_limits(plan["limits"])
    if sys.platform.startswith("linux"):
        _prctl(libc, _PR_SET_PDEATHSIG, signal.SIGKILL)
    if plan["level"] == "none":
        return
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities(libc)
    if plan["level"] == "landlock" or landlock_abi() >= NEEDED_ABI:
        restrict_paths(plan["paths"], plan["loopback"])
    load_seccomp(libc, base64.b64decode(plan["seccomp"]))


def _become(libc: ctypes.CDLL, uid: int) -> None:
    """Another user, in no group but its own, and for good. The kernel then hides /proc/self, as of a set-user program."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _prctl(libc, _PR_SET_DUMPABLE, 1)


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    version = ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, int(version))


def restrict_paths(paths: Mapping[str, Iterable[str]], loopback: bool = False) -> None:
    """Allows what `paths` names under "list", "read", "run" and "write", and no other file, TCP port or process.

    `loopback`: TCP ports are let be, for a process whose network namespace holds its own loopback and nothing else.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = landlock_abi()
    if abi < NEEDED_ABI:
        raise OSError(f"Landlock version {abi}, at least {NEEDED_ABI} is needed")
    ruleset = _Ruleset(_handled_rights(abi), 0b11 if abi >= 4 and not loopback else 0, 0b11 if abi >= 6 else 0)
    fd = _check(libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), 0))
    try:
        for kind, rights in _RIGHTS.items():
            for path in paths.get(kind, ()):
                _allow(libc, fd, path, rights)
        _check(libc.syscall(_RESTRICT_SELF, fd, 0))
    finally:
        os.close(fd)


def _handled_rights(abi: int) -> int:
    """Every file right the kernel knows (bit 15 is ioctl on devices), so that what is not granted is denied."""
    return (1 << (16 if abi >= 5 else 15)) - 1


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    """Files of /proc/self stay open: a rule is tied to an inode, and procfs makes a new one when nobody holds it."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _FILE_RIGHTS
        rule = _PathBeneath(rights, fd)
        _check(libc.syscall(_ADD_RULE, ruleset, 1, ctypes.byref(rule), 0))
    finally:
        if not path.startswith("/proc/self/"):
            os.close(fd)


def load_seccomp(libc: ctypes.CDLL, program: bytes) -> None:
    """Installs a ready BPF program; it was compiled outside, where libseccomp is."""
    code = ctypes.create_string_buffer(program, len(program))
    _prctl(libc, _PR_SET_SECCOMP, 2, ctypes.byref(_Program(len(program) // 8, ctypes.addressof(code))))


def _set_limits(limits: Mapping[str, int]) -> None:
    for name, value in limits.items():
        _, hard = resource.getrlimit(_LIMITS[name])
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(_LIMITS[name], (wanted, wanted))
        except (ValueError, OSError):
            if sys.platform.startswith("linux"):
                raise


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root without bubblewrap would keep its powers over files of others. Refusals mean there was nothing to drop."""
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)
    _check(libc.capset(ctypes.byref(_CapHeader(0x20080522, 0)), (ctypes.c_uint32 * 6)()))


def _prctl(libc: ctypes.CDLL, option: int, *arguments: Any) -> None:
    values = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    values += [ctypes.c_ulong(0)] * (4 - len(values))
    _check(libc.prctl(option, *values))


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
