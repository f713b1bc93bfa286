"""The process a module runs in: loads it, and calls it when told.

    python worker.py {cuda|cpu} FOLDER...      folders that hold torch, and triton if there is one

Once the module is loaded all of this process is the candidate's, and nothing here is believed: not the synchronising, not
the answer. The other side holds inputs, outputs, reference and clock in a process of its own.

Descriptor 0 is a socket: in come a header (JSON) with the two blocks of memory, then a byte for every call; out go "up"
before the module is loaded, "loaded" or "failed: ..." after, and a byte for every call done.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import socket
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    device, *folders = sys.argv[1:]
    sys.path[:0] = folders
    control = socket.socket(fileno=0)
    settle, driver = _ready(device)
    control.sendall(b"up\n")
    header, descriptors, _, _ = socket.recv_fds(control, 65536, 2)
    told = json.loads(header)
    data, output = _data(device, told, descriptors, driver)
    try:
        function = _module("candidate", told["module"]).custom_kernel
    except BaseException as error:  # noqa: BLE001 - whatever a module does while it is loaded is its failure
        control.sendall(f"failed: {type(error).__name__}: {error}"[:4000].encode("utf-8", "replace"))
        return
    control.sendall(b"loaded\n")
    while control.recv(1):
        given = function(data())
        if given is not None and given is not output:
            output.copy_(given)
        settle()
        control.sendall(b".")


def _ready(device: str) -> tuple[Any, Any]:
    """What waits for the device, and its driver; a GPU has a context from here on."""
    gc.disable()
    import torch

    gc.enable()
    if device == "cpu":
        return (lambda: None), None
    torch.zeros(1, device="cuda")
    return torch.cuda.synchronize, _module("driver", _beside("driver")).Driver()


def _data(device: str, told: dict[str, Any], descriptors: list[int], driver: Any) -> tuple[Any, Any]:
    """What gives a call its data, and the tensor it is to fill."""
    memory = _module("memory", _beside("memory"))
    inputs = memory.opened(device, descriptors[0], told["inputs"], False, driver)
    outputs = memory.opened(device, descriptors[1], told["outputs"], True, driver)
    tensors = {name: memory.view(inputs, start, tuple(shape)) for name, start, shape in told["arrays"]}
    output = memory.view(outputs, told["out"], tuple(told["shape"]))

    def data() -> tuple[Any, ...]:
        weights = {name: tensor for name, tensor in tensors.items() if "." in name}
        return tensors["x"], tensors["mask"], weights, {**told["config"], "output": output}

    return data, output


def _beside(name: str) -> str:
    return str(Path(__file__).with_name(f"{name}.py"))


def _module(name: str, path: str) -> Any:
    """By its path: the folder it lies in need not be seen."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
