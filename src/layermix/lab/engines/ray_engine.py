"""The engine that trains runs as tasks of a Ray cluster (https://docs.ray.io).

Workers need no shared disk: the code and the decoded data are sent once, and checkpoints and
results come back as bytes. Ray does not repeat tasks; the study does, from the last checkpoint.
"""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layermix
from layermix.errors import InputError, RunError
from layermix.extras import require
from layermix.lab.data import DataConfig
from layermix.lab.engines.job import Event, Job

_CONNECT_SECONDS = 5.0
_LAST = ("finished", "failed", "stopped")


class RayEngine:
    """Train jobs on a Ray cluster; see `Engine`.

    Parameters
    ----------
    data
        Settings of the data, which are decoded here and sent to the cluster.
    address
        Address of the cluster, such as ``10.0.0.1:6379``; None for the cluster of this machine.
    cpus, gpus
        Resources of each run; several runs share a GPU if `gpus` is a fraction.
    workers
        Number of jobs at the same time. Default: as many as the cluster has resources for.

    Raises
    ------
    InputError
        If no node has the resources of a run.
    RunError
        If the cluster does not answer.
    """

    def __init__(
        self,
        data: DataConfig,
        *,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
        workers: int | None = None,
    ) -> None:
        require("ray")
        import ray

        self._ray = ray
        _connect(address)
        try:
            fitting = _capacity(ray.nodes(), {"CPU": cpus, "GPU": gpus})
        except InputError:
            ray.shutdown()
            raise
        self.slots = workers or fitting
        options: Any = {"max_retries": 0, "num_returns": "streaming"}
        options |= {"num_cpus": cpus, "num_gpus": gpus}
        self._task = ray.remote(**options)(_train)
        self._source = ray.put(_arrays(data))
        self._running: dict[Any, str] = {}  # the name of the job of each generator of events
        self._stopped: list[Event] = []

    def submit(self, job: Job) -> None:
        """Submit a task."""
        import cloudpickle

        self._running[self._task.remote(cloudpickle.dumps(job), self._source)] = job.name

    def events(self, timeout: float) -> Iterator[Event]:
        """Wait for events, at most `timeout` seconds, and yield those that are there."""
        stopped, self._stopped = self._stopped, []
        yield from stopped
        if not self._running:
            return
        ready, _ = self._ray.wait(list(self._running), timeout=timeout)
        for generator in ready:
            yield self._next(generator)

    def _next(self, generator: Any) -> Event:
        import cloudpickle

        name = self._running[generator]
        try:
            content: Any = self._ray.get(next(generator))
            event = cloudpickle.loads(content)
        except StopIteration:
            event = Event(name, "lost", "its task ended without a result")
        except Exception as error:  # of many kinds: a killed process, a lost node, lost objects
            event = Event(name, "lost", f"its task was lost: {type(error).__name__}")
        if event.kind in (*_LAST, "lost"):
            del self._running[generator]
        return event

    def cancel(self, job: str) -> None:
        """Kill the task of a job."""
        for generator in [each for each, name in self._running.items() if name == job]:
            del self._running[generator]
            self._ray.cancel(generator, force=True)

    def stop(self) -> None:
        """Kill all tasks; they can continue from the checkpoints that were sent."""
        for name in list(self._running.values()):
            self.cancel(name)
            self._stopped.append(Event(name, "stopped"))

    def close(self) -> None:
        """Kill all tasks, and leave the cluster."""
        self.stop()
        self._ray.shutdown()


def _train(job: bytes, source: Any) -> Iterator[bytes]:
    """Train a run in a process of the cluster, and yield its events."""
    import cloudpickle

    from layermix.lab.engines.execute import execute
    from layermix.lab.run_setup import provide_source

    found: Job = cloudpickle.loads(job)
    provide_source(found.config.data, source)
    for event in execute(found):
        yield cloudpickle.dumps(event)


def _connect(address: str | None) -> None:
    import ray

    if address and "://" not in address:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            raise RunError(
                f"there is no Ray cluster at {address!r} ({error}): name host and port of its head "
                "node, such as 10.0.0.1:6379"
            ) from error
    environment = {"py_modules": [str(Path(layermix.__file__).parent)]}
    try:
        ray.init(
            address=address or "auto",
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:
        raise RunError(
            f"cannot connect to a Ray cluster ({error}): start one by `ray start --head`, or name "
            "its address with --ray-address. If it has authentication, set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN"
        ) from error


def _capacity(nodes: list[dict[str, Any]], wanted: dict[str, float]) -> int:
    """Return how many runs fit on the nodes of a cluster at the same time."""
    wanted = {name: amount for name, amount in wanted.items() if amount}
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    fitting = [
        int(min((have.get(name, 0) / amount for name, amount in wanted.items()), default=1))
        for have in alive
    ]
    if not alive:
        raise RunError("the Ray cluster has no node that is alive: start it again")
    if not any(fitting):
        most = {
            name: max((float(have.get(name, 0)) for have in alive), default=0.0) for name in wanted
        }
        raise InputError(
            f"no node of the Ray cluster has the resources of a run, {_text(wanted)}: the largest "
            f"have {_text(most)}. Use fewer --threads or --ray-gpus"
        )
    return sum(fitting)


def _text(resources: dict[str, float]) -> str:
    return " and ".join(f"{name} {amount:g}" for name, amount in resources.items())


def _arrays(data: DataConfig) -> Any:
    """Return the decoded data with arrays, which processes of a node share without copies."""
    from layermix.lab.data.sources import decoded_source

    source = decoded_source(data)
    if source is None:  # built in, loaded by the seed
        return None
    splits = {name: (s.inputs.numpy(), s.labels.numpy()) for name, s in source.splits.items()}
    return splits, source.classes, source.modality
