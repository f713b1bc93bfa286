"""A training as several processes on a Ray cluster: `python -m sia_tui.cluster.training --job job.json`.

To the engine it is a trainer like any other (`weights/protocol.py`, the same statuses). Ray Train starts the processes and
puts them together; a lost one ends them all, and the engine starts the training again from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from sia_tui.cluster.desk import Desk
from sia_tui.cluster.joining import environment
from sia_tui.cluster.ranked import work
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.core.text import last_line, one_line
from sia_tui.weights.pipe import ENGINE_GONE, ends
from sia_tui.weights.protocol import SAID, End, Job, Left, Notice, Trained
from sia_tui.weights.trainer import BROKE, job_file

JOIN_S = 60.0
"""How long to wait for as many GPUs as were asked for; with fewer it begins then."""
SETTINGS = {
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_worker_niceness": "0",
}
"""Of Ray: no metrics, a death is seen within a second, busy nodes have time to start processes, and these are as important as
a trainer alone would be (Ray's own niceness is 15)."""
TRIES = 3
"""Of joining: on a busy machine Ray's agents are late, and what waits for them gives up after fifteen seconds."""
SHARE = 0.01
"""Of a CPU, by Ray's books, for a process that trains on the CPU: harness workers, of which Ray knows nothing, wait meanwhile."""
PATIENCE_S = 86_400
"""Of the processes with each other: rank 0 may wait long for rollouts. Ray, not the clock, says who is dead."""


def main(arguments: Sequence[str] | None = None) -> int:
    job = job_file(arguments, __doc__)
    told, said = ends()
    # Ray reads how it is to be joined when it is imported.
    os.environ.update(
        SETTINGS | environment(ClusterSettings(executor="ray", address=_address(job)), job.folder / "ray")
    )
    why = ""
    try:
        return _carried_out(job, told, said)
    except Exception as error:
        logging.exception("the training broke")
        why = _words(error)
        return BROKE
    finally:
        import ray

        # Until it is gone it passes on what processes elsewhere printed; the last word is ours.
        ray.shutdown()
        print(why, file=sys.stderr)


def _carried_out(job: Job, told: Iterable[bytes], said: Any) -> int:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    _join(job)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    desk: Any = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote(job)
    threading.Thread(target=_pass_on, args=(told, desk), daemon=True).start()
    workers, gpu = _workers(job)
    if workers < job.workers:
        text = f"{workers} of {job.workers} training processes: the cluster has no GPUs for more; a step takes longer"
        _write(said, Notice(text=text).model_dump_json().encode() + b"\n")
    broken: list[BaseException] = []
    group = threading.Thread(target=_train, args=(job, desk, workers, gpu, broken), daemon=True)
    group.start()
    while True:
        asked = desk.said.remote()
        while not ray.wait([asked], timeout=1.0)[0]:
            if not group.is_alive() and not ray.wait([asked], timeout=1.0)[0]:
                raise broken[0] if broken else RuntimeError("the training ended without a word")
        line = ray.get(asked)
        _write(said, line)
        if isinstance(end := SAID.validate_json(line), End):
            return 0 if isinstance(end, Trained | Left) else 1


def _join(job: Job) -> None:
    """A cluster that is there; without one, this machine alone, on loopback, until this process ends."""
    import ray

    address = _address(job)
    alone: dict[str, Any] = {} if address else {"num_cpus": 1, "include_dashboard": False}
    for tries_left in reversed(range(TRIES)):
        try:
            ray.init(address or "local", configure_logging=False, **alone)
            return
        except Exception:
            ray.shutdown()
            if not tries_left:
                raise


def _address(job: Job) -> str | None:
    return job.cluster or os.environ.get("RAY_ADDRESS")


def _workers(job: Job) -> tuple[int, bool]:
    """How many processes there is room for, and whether each has a GPU. Raises RuntimeError where there is none."""
    ray = import_module("ray")
    if job.device == "cpu" or not ray.cluster_resources().get("GPU"):
        return job.workers, False
    ends_at = time.monotonic() + JOIN_S
    while (free := int(ray.available_resources().get("GPU", 0))) < job.workers and time.monotonic() < ends_at:
        time.sleep(1.0)
    if not free:
        raise RuntimeError(f"no GPU of the cluster became free in {JOIN_S:.0f} s")
    return min(free, job.workers), True


def _train(job: Job, desk: Any, workers: int, gpu: bool, broken: list[BaseException]) -> None:
    train, torch = import_module("ray.train"), import_module("ray.train.torch")
    each = {"GPU": 1.0} if gpu else {"CPU": SHARE}
    try:
        _trainer()(
            work,
            train_loop_config={"job": job, "desk": desk},
            torch_config=torch.TorchConfig("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout_s=PATIENCE_S),
            scaling_config=train.ScalingConfig(
                num_workers=workers,
                use_gpu=gpu,
                resources_per_worker=each,
                placement_strategy="PACK" if gpu else "SPREAD",
            ),
            run_config=train.RunConfig(
                storage_path=str(job.folder / "ray"),
                failure_config=train.FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        ).fit()
    except Exception as error:  # noqa: BLE001  whatever it was, the engine is told
        broken.append(error)


def _trainer() -> Any:
    """Ray's, without the detached actor that outlives it to free what the end of this process frees anyway: where no
    dashboard runs, that actor never ends."""
    from ray.train.torch import TorchTrainer
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

    trainer: Any = TorchTrainer

    class Trainer(trainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            made = super()._create_default_callbacks()
            return [one for one in made if not isinstance(one, PlacementGroupCleanerCallback)]

    return Trainer


def _pass_on(told: Iterable[bytes], desk: Any) -> None:
    import ray

    for line in told:
        ray.get(desk.tell.remote(line))
    os._exit(ENGINE_GONE)


def _write(said: Any, line: bytes) -> None:
    try:
        said.write(line)
        said.flush()
    except BrokenPipeError:
        os._exit(ENGINE_GONE)


def _words(error: BaseException) -> str:
    """In one line, why the group broke: by a process that Ray says is dead, else by the first that failed."""
    from ray.exceptions import RayActorError

    failures: dict[int, Exception] = getattr(error, "worker_failures", None) or {}
    causes = {rank: getattr(failure, "health_check_failure", failure) for rank, failure in failures.items()}
    for rank, cause in sorted(causes.items()):
        if isinstance(cause, RayActorError):
            return f"lost its process {rank + 1}, or the node that it ran on"
    first = next(iter(causes.values()), error)
    cause = getattr(first, "cause", None) or first
    return one_line(f"{type(cause).__name__}: {last_line(cause)}", 300)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
