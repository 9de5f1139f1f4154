"""A process that trains a study in children, each of which is killed at a step on the disk.

It reads lines ``NUMBER FOLDER``, and answers each with the exit status of the child. The child
kills itself before it opens, renames, creates or removes the file or folder with this number in the
study's folder. With number 0 it finishes the study.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

from layermix.lab import DataConfig, Execution, Recipe, StudyConfig, train_study

_EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir")
RECIPE = Recipe(epochs=3, batch_size=20, monitor=1, geometry=False)
DATA = DataConfig(train_size=60)


def config() -> StudyConfig:
    """Return the configuration of the study: two runs of three epochs."""
    return StudyConfig(DATA, "mlp", RECIPE, ("none", "final"), (0,))


def train(folder: Path) -> None:
    """Train the study in this process, with a checkpoint after each epoch."""
    train_study(config(), folder, Execution(workers=1, checkpoint_every=1e-9))


def _kill_at(number: int, folder: Path) -> None:
    steps = 0

    def count(event: str, arguments: tuple) -> None:
        nonlocal steps
        if event in _EVENTS and str(arguments[0]).startswith(str(folder)):
            steps += 1
            if steps == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main() -> None:
    """Answer the lines of the input."""
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder) / "study")  # so that children need not import modules
    for line in sys.stdin:
        number, _, name = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            _kill_at(int(number), Path(name))
            train(Path(name))
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
