"""A vLLM server of our own: started on a unix socket in the gateway's private folder, ended with the gateway.

A socket and not a port, since whoever reaches the server may have it read any path as an adapter.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sia_tui.children import die_with_parent, ended, started
from sia_tui.core.hardware import only
from sia_tui.policy.wire import Settings

SOCKET = "vllm.sock"
STOP_S = 4.0
"""Under the client's own patience with the gateway."""
LOGS = 5
"""Of the last servers that are kept."""
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Those that vLLM takes for the largest."""
CPU_FLAGS = ["--enforce-eager", "--no-enable-chunked-prefill"]
"""Compiling costs a minute more; a seeded prompt read in chunks kills 0.31 ("CPU Generator does not use offset")."""
ERROR = re.compile(r"(\w*(?:Error|Exception): .+)")
UNTELLING = ("EngineDeadError", "EngineCore encountered", "Engine core init")


@dataclass
class Server:
    process: asyncio.subprocess.Process
    log: Path
    sound: int = 0
    """Up to which byte of its log it was well; errors before it were of requests that it refused."""

    def well(self) -> None:
        self.sound = self.log.stat().st_size

    def ended(self) -> str | None:
        code = self.process.returncode
        return None if code is None else f"vllm ended with status {code}"

    def reason(self) -> str:
        """The last error its log names that tells something, and where the log is."""
        found = [line for line in ERROR.findall(read(self.log, self.sound)) if not line.startswith(UNTELLING)]
        return f"{found[-1][:300]} (log: {self.log})" if found else f"log: {self.log}"


@asynccontextmanager
async def running(settings: Settings, context: int) -> AsyncIterator[Server]:
    folder = Path(settings.sockets)
    log = new_log(folder)
    with log.open("wb") as output:
        process = await started(
            command(settings, context),
            cwd=folder,
            env=environment(settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # However the gateway ends; asked, so that it ends its own workers.
            preexec_fn=partial(die_with_parent, signal.SIGTERM),
        )
    try:
        yield Server(process, log)
    finally:
        await stop(process)


def command(settings: Settings, context: int) -> list[str]:
    """The model's own generation_config.json would filter what is sampled (top_k 20, a repetition penalty …) unseen."""
    own = settings.vllm
    arguments = {
        "--uds": SOCKET,
        "--model": settings.model_dir,
        "--served-model-name": settings.name,
        "--dtype": settings.dtype,
        "--max-model-len": context,
        "--max-num-seqs": settings.max_batch,
        "--max-lora-rank": next(rank for rank in RANKS if rank >= own.rank),
        "--max-loras": own.adapters,
        "--max-cpu-loras": 2 * own.adapters,
        "--logprobs-mode": "processed_logprobs",
        "--generation-config": "vllm",
    }
    if settings.device == "cuda":
        arguments |= {"--gpu-memory-utilization": own.memory, "--tensor-parallel-size": own.tensor_parallel or 1}
    flags = ["--enable-lora", "--disable-uvicorn-access-log"]
    flags += ["--enable-sleep-mode"] if settings.device == "cuda" else CPU_FLAGS
    python = own.python or sys.executable
    pairs = [str(part) for pair in arguments.items() for part in pair]
    return [python, "-P", "-m", "vllm.entrypoints.openai.api_server", *pairs, *flags, *own.arguments]


def environment(settings: Settings) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    cpu = {
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": inherited.get("VLLM_CPU_KVCACHE_SPACE", "1"),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(settings.threads),
    }
    return (
        inherited
        | {
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
            "VLLM_SERVER_DEV_MODE": "1",
            "VLLM_HOST_IP": "127.0.0.1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
        }
        | (cpu if settings.device == "cpu" else {})
        | only(settings.gpus)
    )


async def stop(process: asyncio.subprocess.Process) -> None:
    """The server politely, then it and its workers by force."""
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await process.wait()
    await ended(process)


def new_log(folder: Path) -> Path:
    """`vllm-1.log`, and so on: what is said of a server that was lost names its log, which the next one must not empty."""
    numbers = sorted(int(log.stem.partition("-")[2]) for log in folder.glob("vllm-*.log"))
    for number in numbers[: 1 - LOGS]:
        (folder / f"vllm-{number}.log").unlink(missing_ok=True)
    return folder / f"vllm-{1 + max(numbers, default=0)}.log"


def read(path: Path, start: int, size: int = 65536) -> str:
    """The end of a log, from `start` on."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, path.stat().st_size - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
