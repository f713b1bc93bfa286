"""Compiles the list of system calls a harness may not make, as a program the worker loads once it is running.

A deny list, not an allow list: numpy, libc and Python reach for new calls with every release, and the file system and
the network are held by other walls. What is denied here is what those walls do not cover: new processes and programs,
every way to a socket that was not handed over, other processes of the same user, and the kernel's rarely used corners.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
from typing import Any, Literal

CLONE_THREAD = 0x00010000
_LOW = 0xFFFFFFFF
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4

PROCESSES = ("fork", "vfork", "execve")
NAMESPACES = ("execveat", "unshare", "setns")
SOCKETS = ("socket", "connect", "bind", "listen", "accept", "accept4", "socketcall")
OTHERS = (
    *("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_getfd"),
    *("pidfd_send_signal", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
    *("kcmp", "setpriority", "sched_setscheduler", "sched_setparam", "sched_setattr", "ioprio_set"),
    *("migrate_pages", "move_pages"),
)
"""Everything that reaches another process; signals too, since an old Landlock does not hold them."""
SHARED = (
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl"),
    *("mq_open", "mq_unlink", "add_key", "request_key", "keyctl"),
)
"""System V memory, message queues and keyrings are shared with the user's other processes without a new namespace."""
KERNEL = (
    *("mount", "umount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount"),
    *("open_tree", "mount_setattr", "swapon", "swapoff", "quotactl", "quotactl_fd", "acct", "nfsservctl"),
    *("memfd_create", "memfd_secret"),
    *("bpf", "userfaultfd", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "syslog"),
    *("name_to_handle_at", "open_by_handle_at", "fanotify_init", "fanotify_mark", "lookup_dcookie", "personality"),
    *("iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "uselib", "ustat", "sysfs", "_sysctl", "vhangup"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname", "setdomainname"),
    *("mknod", "mknodat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("setxattrat", "removexattrat", "open_tree_attr", "statmount", "listmount"),
)
METADATA = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "utimensat", "futimesat", "file_setattr", "inotify_add_watch"),
)
"""Landlock lets these through, so without bubblewrap a harness could change modes and times of the user's files."""


RECENT = {
    **{"process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "process_mrelease": 448, "fchmodat2": 452},
    **{"statmount": 457, "listmount": 458, "setxattrat": 463, "removexattrat": 466, "open_tree_attr": 467},
    **{"file_setattr": 469},
}
"""Numbers, the same on every architecture, of calls that an older libseccomp does not know by name."""


class SeccompUnavailable(RuntimeError):
    """libseccomp is not on this machine."""


SIGNALS = ("kill", "tkill", "tgkill")
CLONE_NEW = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""Flags of clone that make a namespace."""

_FCNTL = (8, 15, 1024, 1026)
"""Who a descriptor's signals go to (F_SETOWN, F_SETOWN_EX); holding up and watching others (F_SETLEASE, F_NOTIFY)."""

Starts = Literal["nothing", "threads", "programs", "agent"]


@functools.cache
def program(hold_metadata: bool, starts: Starts = "threads") -> bytes:
    """The BPF program. `hold_metadata` where the user's own files are visible, that is without bubblewrap.

    `starts` is what a process may start; programs inherit every other wall. An `agent` is programs that may signal each
    other and use TCP: only for namespaces of its own, where there is nobody else and nothing but its own loopback.
    """
    rules = _Rules()
    optional = (*(() if starts in ("programs", "agent") else PROCESSES), *(METADATA if hold_metadata else ()))
    spared = {*SOCKETS, *SIGNALS} if starts == "agent" else set()
    for name in (*NAMESPACES, *SOCKETS, *OTHERS, *SHARED, *KERNEL, *optional):
        if name not in spared:
            rules.deny(name)
    if starts == "threads":
        _only_threads(rules)
    elif starts == "nothing":
        rules.deny("clone")
        rules.deny("clone3", code=errno.ENOSYS)
    else:
        _no_namespaces(rules)
    if starts == "agent":
        _only_tcp(rules)
    _only_stream_pairs(rules)
    _only_oneself(rules)
    if starts in ("threads", "nothing"):
        _dies_watched(rules)
    if starts == "programs" and hold_metadata:
        # Their group is all that ends them there. Told that it is done, because a launcher of workers gives up otherwise.
        rules.deny("setsid", code=0)
        rules.deny("setpgid", code=0)
    return rules.compiled()


class _Rules:
    """A filter that allows what no rule denies."""

    def __init__(self) -> None:
        self.module = _module()
        self.filter = self.module.SyscallFilter(self.module.ALLOW)
        self.filter.set_attr(self.module.Attr.ACT_BADARCH, self.module.KILL_PROCESS)

    def deny(self, name: str, *conditions: tuple[int, int, int, int], code: int = errno.EPERM) -> None:
        """Denies a call when every (argument, comparison, a, b) holds. Names of other architectures are skipped."""
        number = self._number(name)
        if number is None:
            return
        arguments = [self.module.Arg(*condition) for condition in conditions]
        self.filter.add_rule(self.module.ERRNO(code), number, *arguments)

    def _number(self, name: str) -> int | None:
        number = int(self.module.resolve_syscall(self.module.Arch.NATIVE, name))
        return RECENT.get(name) if number == -1 else number

    def compiled(self) -> bytes:
        fd = os.memfd_create("seccomp")
        with os.fdopen(fd, "r+b") as file:
            self.filter.export_bpf(file)
            file.seek(0)
            return bytes(file.read())


def _module() -> Any:
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise SeccompUnavailable(str(error)) from None
    return pyseccomp


def _only_threads(rules: _Rules) -> None:
    """ENOSYS for clone3, whose flags a filter cannot read: libc then falls back to clone, whose flags it can."""
    masked = rules.module.MASKED_EQ
    rules.deny("clone", (0, masked, CLONE_THREAD, 0))
    rules.deny("clone3", code=errno.ENOSYS)


def _no_namespaces(rules: _Rules) -> None:
    """As above for clone3."""
    masked = rules.module.MASKED_EQ
    for flag in CLONE_NEW:
        rules.deny("clone", (0, masked, flag, flag))
    rules.deny("clone3", code=errno.ENOSYS)


def _only_tcp(rules: _Rules) -> None:
    """Over IPv4; the kernel's other families (netlink, vsock, packet, crypto) are not what HTTP needs."""
    rules.deny("socket", (0, rules.module.NE, socket.AF_INET, 0))
    rules.deny("socket", (2, rules.module.GT, socket.IPPROTO_TCP, 0))
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_RDM, socket.SOCK_SEQPACKET):
        rules.deny("socket", (1, rules.module.MASKED_EQ, 0xF, kind))


def _only_stream_pairs(rules: _Rules) -> None:
    """asyncio needs a socket pair for itself. A datagram one could send to any Unix socket by address."""
    masked, unequal = rules.module.MASKED_EQ, rules.module.NE
    rules.deny("socketpair", (0, unequal, socket.AF_UNIX, 0))
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_RDM, socket.SOCK_SEQPACKET):
        rules.deny("socketpair", (1, masked, 0xF, kind))
    rules.deny("sendto", (4, unequal, 0, 0))


def _only_oneself(rules: _Rules) -> None:
    """Calls that are needed for oneself and that name another process, or a terminal, in an argument."""
    masked, unequal = rules.module.MASKED_EQ, rules.module.NE
    rules.deny("prlimit64", (0, unequal, 0, 0))
    rules.deny("sched_setaffinity", (0, unequal, 0, 0))
    for command in _FCNTL:
        rules.deny("fcntl", (1, masked, _LOW, command))
    for request in (0x5412, 0x541C, 0x8901, 0x8902):
        rules.deny("ioctl", (1, masked, _LOW, request))


def _dies_watched(rules: _Rules) -> None:
    """That it dies with its parent, and that its /proc can be read from outside, is not to be taken back."""
    for option in (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE):
        rules.deny("prctl", (0, rules.module.MASKED_EQ, _LOW, option))
