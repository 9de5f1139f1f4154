"""The engine that trains runs in processes of this machine, each with its own threads.

A process trains one run at a time, and loads the data of a seed once. If it is killed, the others
go on, and the next job gets a new one.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import cloudpickle
import joblib

from layermix.errors import InputError
from layermix.lab.engines.frames import receive, send
from layermix.lab.engines.job import Event, Job
from layermix.lab.engines.worker import STOP, UNSENT
from layermix.lab.training.environment import pick_device

_MAIN = "from layermix.lab.engines.worker import train_jobs; train_jobs()"
_MOST_EVENTS = 100  # that are returned at once, so that their reader can do other things
_PATIENCE = 5.0  # seconds in which a process ends
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def default_workers(device: str) -> int | None:
    """Return the number of parallel runs on a CPU, one for each core; None on a GPU."""
    return joblib.cpu_count() if pick_device(device).type == "cpu" else None


class LocalEngine:
    """Train jobs in processes of this machine; see `Engine`.

    Parameters
    ----------
    workers
        Number of processes.
    threads
        CPU threads of each process.
    gpus
        Number of GPUs over which the processes are spread.
    """

    def __init__(self, workers: int, threads: int = 1, gpus: int = 1) -> None:
        self.slots, self._threads, self._gpus = workers, threads, gpus
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._workers: list[_Worker] = []
        self._messages: queue.Queue[tuple[_Worker, Event | None]] = queue.Queue()

    def submit(self, job: Job) -> None:
        """Send a job to a free process, or keep it until one is free."""
        try:
            content = cloudpickle.dumps(job)
        except Exception as error:
            raise InputError(f"{error}. {UNSENT}") from error
        self._waiting.append((job.name, content))
        self._distribute()

    def events(self, timeout: float) -> Iterator[Event]:
        """Wait for an event, at most `timeout` seconds; yield it and all others that are there."""
        with suppress(queue.Empty):
            messages = [self._messages.get(timeout=timeout)]
            with suppress(queue.Empty):
                while len(messages) < _MOST_EVENTS:
                    messages.append(self._messages.get_nowait())
            for worker, event in messages:
                yield from self._received(worker, event)
        self._distribute()

    def _received(self, worker: "_Worker", event: Event | None) -> Iterator[Event]:
        job = worker.job
        if event is None:  # the process has ended
            if worker in self._workers:
                self._workers.remove(worker)
                reason = worker.ending()
                if job:
                    yield Event(job, "lost", reason)
        elif worker in self._workers and event.job == job:
            if event.kind in ("finished", "failed", "stopped"):
                worker.job = None
                self._distribute()
            yield event

    def _distribute(self) -> None:
        while self._waiting:
            free = next((worker for worker in self._workers if worker.job is None), None)
            if free is None:
                if len(self._workers) >= self.slots:
                    return
                used = {worker.index for worker in self._workers}
                index = next(k for k in range(self.slots) if k not in used)
                gpu = index % self._gpus if self._gpus > 1 else -1  # the default
                free = _Worker(index, gpu, self._threads, self._messages)
                self._workers.append(free)
            free.start(*self._waiting.popleft())

    def cancel(self, job: str) -> None:
        """Kill the process of a job."""
        self._waiting = deque(each for each in self._waiting if each[0] != job)
        for worker in [worker for worker in self._workers if worker.job == job]:
            self._workers.remove(worker)
            worker.kill()

    def stop(self) -> None:
        """Ask all processes to end their jobs after the current epoch."""
        for worker in self._workers:
            worker.send(STOP)

    def close(self) -> None:
        """End all processes."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.kill()


class _Worker:
    """A worker process, and the thread that reads its events."""

    def __init__(self, index: int, gpu: int, threads: int, messages: queue.Queue) -> None:
        self.index, self.job = index, None
        path = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))
        settings = dict.fromkeys(_THREADS, str(threads)) | {"PYTHONPATH": path}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | settings,
            start_new_session=True,  # Ctrl-C ends this process alone, which then ends the worker
        )
        self.send(b"%d" % gpu)
        threading.Thread(target=self._read, args=(messages,), daemon=True).start()

    def _read(self, messages: queue.Queue) -> None:
        assert self._process.stdout
        # An error means that the process has ended, maybe in the middle of a message.
        with suppress(Exception), self._process.stdout as stream:
            while True:
                messages.put((self, cloudpickle.loads(receive(stream))))
        messages.put((self, None))

    def start(self, name: str, job: bytes) -> None:
        """Train a job."""
        self.job = name
        self.send(name.encode())
        self.send(job)

    def send(self, message: bytes) -> None:
        """Send a message; if the process has ended, its event follows."""
        assert self._process.stdin
        with suppress(OSError, ValueError):
            send(self._process.stdin, message)

    def ending(self) -> str:
        """Return why the process ended."""
        with suppress(subprocess.TimeoutExpired):  # it closed its pipe, and ends now
            self._process.wait(_PATIENCE)
        self.kill()
        code = self._process.returncode
        if code < 0:
            with suppress(ValueError):
                name = signal.Signals(-code).name
                memory = ", maybe for lack of memory" if name == "SIGKILL" else ""
                return f"its process was ended by {name}{memory}"
        return f"its process ended with exit code {code}"

    def kill(self) -> None:
        """End the process, if it has not ended."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        with suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
