"""Kernels that start at once, for tests: each is forked off a process that has imported what all of them import.

To start Python with PyTorch takes 3 s of a processor, and every notebook that is opened wants a kernel of its own.
Jupyter starts a small process for each (`launch`), which asks the one that waits (`serve`) for a fork, and lives
as long as it. Notebooks find the kernel in the state that a new process would have after its imports.

    python -P warm_kernels.py serve SOCKET          waits, and forks off kernels
    python -I -S warm_kernels.py launch SOCKET -f CONNECTION_FILE
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

FORKS = hasattr(os, "fork") and sys.platform.startswith("linux")  # elsewhere libraries may not survive a fork


def launch(path: str, arguments: list[str]) -> int:
    """Ask for a kernel with this process's folder, environment and outputs; return its exit code when it ends."""
    asked = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        socket.send_fds(line, [json.dumps(asked).encode() + b"\n"], [1, 2])
        return int(line.recv(16) or b"1")


def serve(path: str) -> NoReturn:
    """Import what kernels need, then fork one off for each that asks, and end those whose `launch` is gone."""
    _import()
    kernels: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        door.settimeout(0.1)
        while True:
            with suppress(TimeoutError):
                line, _ = door.accept()
                if not (pid := os.fork()):
                    door.close()
                    for other in kernels.values():
                        other.close()
                    _become_kernel(line)
                kernels[pid] = line
            _tend(kernels)


def _tend(kernels: dict[int, socket.socket]) -> None:
    """Tell of kernels that have ended, and end those that nobody waits for any more."""
    for pid, line in list(kernels.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with suppress(OSError):
                line.send(str(abs(os.waitstatus_to_exitcode(status))).encode())
            kernels.pop(pid).close()
        elif _hung_up(line):
            os.kill(pid, signal.SIGKILL)


def _hung_up(line: socket.socket) -> bool:
    try:
        return line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _import() -> None:
    import ipykernel.kernelapp  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import torch  # noqa: F401

    import resnet_explore

    for name in dir(resnet_explore):
        if name.endswith("Explorer"):
            getattr(resnet_explore, name)


def _become_kernel(line: socket.socket) -> NoReturn:
    """Read what is asked, take on its surroundings, and run `ipykernel_launcher` in this process."""
    data, outputs, *_ = socket.recv_fds(line, 1 << 20, 2)
    while not data.endswith(b"\n"):
        data += line.recv(1 << 20)
    line.close()
    asked = json.loads(data)
    os.setsid()  # an interrupt goes to the kernel and what it has started, and to nobody else
    os.chdir(asked["folder"])
    os.environ.clear()
    # A kernel ends when the process with this number is gone.
    os.environ.update(asked["environment"] | {"JPY_PARENT_PID": str(os.getppid())})
    for number, given in enumerate(outputs, start=1):
        os.dup2(given, number)
        os.close(given)
    sys.argv = ["ipykernel_launcher", *asked["arguments"]]

    from ipykernel import kernelapp

    kernelapp.launch_new_instance()
    os._exit(0)  # to take Python down in order takes a second, and nobody looks at it


if __name__ == "__main__":
    what, place, *rest = sys.argv[1:]
    if what == "serve":
        serve(place)
    sys.exit(launch(place, rest))
