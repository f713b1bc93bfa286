"""Where modules run: a folder, and the walled command that starts a worker in it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sia_tui.tasks.trimul.gpu.memory import Device
from sia_tui.tasks.trimul.programs import Command, Wall, Wanted

MODULE: Final = "candidate.py"
DEVICES: Final = "nvidia*"
"""Files of /dev. CUDA_VISIBLE_DEVICES names one GPU; nothing here keeps a module from the machine's others."""
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Home:
    folder: Path
    run: Command
    check: Command
    """Python's compiler on MODULE, which it does not run."""

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}


def home_from(told: Mapping[str, Any]) -> Home:
    run, check = (Command(tuple(told[it]["argv"]), dict(told[it]["environment"])) for it in ("run", "check"))
    return Home(Path(told["folder"]), run, check)


def home(folder: Path, device: Device, wall: Wall, code: Path = _HERE, gpu: str = "0") -> Home:
    """Makes the folder. The worker is the one in `code`, with `memory`, `driver` and `syntax` beside it."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sites = tuple(dict.fromkeys(path for name in ("torch", "numpy", "triton") if (path := _site(name))))
    python = Path(sys.executable).resolve()
    worker = [code / name for name in ("worker.py", "memory.py", "driver.py")]
    on_gpu = tuple(path for path in sorted(Path("/dev").glob(DEVICES)) if device == "cuda" and not path.is_dir())
    runs = Wanted(
        argv=(str(python), "-I", "-B", str(worker[0]), device, *map(str, sites)),
        reads=(*worker, *sites, *(_compiler() if device == "cuda" else ())),
        writes=(folder,),
        spawns=True,
        memory_mb=0 if device == "cuda" else 8192,
        cpu_s=600,
        environment=_environment(folder, device, gpu),
        devices=on_gpu,
    )
    syntax = code / "syntax.py"
    checks = Wanted(argv=(str(syntax), str(folder / MODULE)), reads=(syntax, folder), cpu_s=20)
    return Home(folder, wall(runs), wall(checks))


def _environment(folder: Path, device: Device, gpu: str) -> dict[str, str]:
    said = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "TRITON_CACHE_DIR": str(folder / "cache"),
        "CUDA_MPS_PIPE_DIRECTORY": "/nonexistent",
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
    }
    if device == "cpu":
        return {**said, "TRITON_INTERPRET": "1"}
    return said | only(gpu)


def only(gpu: str) -> dict[str, str]:
    """The environment of a process that is to see this GPU alone, by its number in `nvidia-smi`."""
    return {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def _site(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return Path(found.origin).resolve().parent.parent if found and found.origin else None


def _compiler() -> tuple[Path, ...]:
    """Triton compiles a launcher in C for each kernel, with the machine's gcc and Python's headers."""
    import sysconfig

    wanted = (
        *(Path("/usr", name) for name in ("bin", "lib", "lib64", "libexec", "include")),
        Path("/proc/driver/nvidia"),
    )
    return tuple(path for path in (*wanted, Path(sysconfig.get_path("include"))) if path.is_dir())
