"""The worker process of the local engine: trains the jobs that it reads from its input.

If the process that started it ends, so does the worker, at once.
"""

import os
import queue
import signal
import threading
import warnings
from typing import BinaryIO

import cloudpickle

from layermix.lab.engines.frames import receive, send
from layermix.lab.engines.job import Event

STOP = b"stop"
UNSENT = "The function of the study cannot be sent to another process: use --workers 1"


def train_jobs() -> None:
    """Train jobs until the input ends."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the other process stops this one
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    source, sink = _pipes()
    jobs, stopped = queue.Queue[bytes](), threading.Event()
    threading.Thread(target=_read, args=(source, jobs, stopped), daemon=True).start()
    warnings.simplefilter("ignore")  # the result has those of layermix
    from layermix.lab.engines.execute import execute

    _use_gpu(int(jobs.get()))
    while True:
        name = jobs.get().decode()
        try:
            job = cloudpickle.loads(jobs.get())
        except Exception as error:
            failed = Event(name, "failed", f"{error}. {UNSENT}")
            send(sink, cloudpickle.dumps(failed))
            continue
        for event in execute(job, stopped.is_set):
            send(sink, cloudpickle.dumps(event))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes to the other process; what is printed goes to the error output."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return os.fdopen(source, "rb"), os.fdopen(sink, "wb")


def _read(source: BinaryIO, jobs: queue.Queue, stopped: threading.Event) -> None:
    try:
        while True:
            message = receive(source)
            if message == STOP:
                stopped.set()
            else:
                jobs.put(message)
    except BaseException:  # the other process has ended
        os._exit(1)


def _use_gpu(index: int) -> None:
    import torch

    if index >= 0 and torch.cuda.is_available():
        torch.cuda.set_device(index)
