"""Where runs are trained: processes here, one for each GPU, a Dask cluster, or all of `torchrun` in step."""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.models.devices import gpu_count, kind_for

_DASK_SECONDS = 8  # a scheduler that has not answered by then will not


def processes(workers: int, accelerator: str = "cpu") -> ProcessPoolExecutor:
    """Return a pool of so many worker processes; more than one for each core, or GPU, does not pay.

    Where the accelerator is GPUs, each worker sees one of them, in turn. Raises ExploreError for one that is
    not here.
    """
    kind = kind_for(accelerator)
    # Workers forked from a server that has loaded torch and Fabric start at once, and share that memory; a
    # fork of a notebook's own process could deadlock, since torch has threads there. An Apple chip's GPU
    # works in no forked process at all.
    method = "spawn"
    if kind != "mps" and "forkserver" in multiprocessing.get_all_start_methods():
        method = "forkserver"
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["resnet_explore.training.sweep", "resnet_explore.training.fabric"])
    if kind != "cuda":
        return ProcessPoolExecutor(workers, mp_context=context)
    gpus = _visible_gpus(gpu_count(kind))
    turns: Any = context.Queue()
    for worker in range(workers):
        turns.put(gpus[worker % len(gpus)])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_bind, initargs=(turns,))


def _visible_gpus(count: int) -> list[str]:
    """Return the names of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return given.split(",")[:count] if given else [str(i) for i in range(count)]


def _bind(turns: Any) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = turns.get()  # read when CUDA starts, which it has not yet


def usual_executor(runs: int, accelerator: str) -> Executor:
    """Return what suits this machine: a process for each GPU that is to be used, or else for each core."""
    most = gpu_count(kind_for(accelerator)) or os.cpu_count() or 1
    return processes(max(1, min(most, runs)), accelerator)


@contextlib.contextmanager
def dask(address: str) -> Iterator[Executor]:
    """Give an executor on a Dask cluster, whose workers must have resnet_explore and see the same folders.

    Raises ExploreError if no scheduler answers at `address`, such as "tcp://10.0.0.5:8786".
    """
    try:
        from distributed import Client
    except ImportError:
        raise ExploreError(
            "Dask is not installed here: `pip install 'resnet-explore[cluster]'` does that."
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters arrives as an exception
    client = Client.__new__(Client)  # apart from what can fail, so that one half made can be put away
    try:
        Client.__init__(client, address, timeout=_DASK_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError
        client.status = "closed"  # or its end would wait for an answer, and print a traceback
        reason = f" ({error})" if isinstance(error, ValueError) else ""
        raise ExploreError(f"No Dask scheduler answers at {address!r}{reason}.") from None
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()


def still_wanted() -> Callable[[], bool]:
    """Return a function that says whether anybody still waits for the task that runs in this thread.

    Nobody can end a Dask worker's thread from outside, so a task has to ask. Nobody waits any more when the
    client has left, in whatever way, or when the worker was told to end. Elsewhere the answer is always yes.
    """
    if "distributed" not in sys.modules:  # every worker of Dask has loaded it
        return lambda: True
    from distributed import get_worker
    from distributed.worker import WORKER_ANY_RUNNING

    try:
        worker = get_worker()
    except ValueError:  # loaded, but this is no worker
        return lambda: True
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status in WORKER_ANY_RUNNING and task is not None and task.state != "cancelled"

    return wanted


class InStep(Executor):
    """Does each task at once, in the caller's thread: all ranks of `torchrun` so have the same order."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do the task and return a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextlib.contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back until the end, and for good from processes that start meanwhile.

    A terminal sends it to every process at once. Here it would leave a pool half started; a worker that is
    still loading torch would answer with a traceback, though the file is what tells it to stop.
    """
    held: list[int] = []
    # Processes inherit a mask, but not a handler. It holds for one thread alone and another may get the
    # signal, so the main thread, where Python acts on it, needs the handler too.
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number)) if in_main else None
    has_masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_masks else set()
    try:
        yield
    finally:
        if has_masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)
