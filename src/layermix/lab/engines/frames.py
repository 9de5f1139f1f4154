"""Messages between two processes of this machine, over the pipes of a subprocess.

They hold configurations and functions of the user, and are never stored.
"""

from typing import IO

_SIZE = 8  # bytes of the length before each message


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message; a closed pipe raises a `BrokenPipeError`."""
    stream.write(len(message).to_bytes(_SIZE, "little"))
    stream.write(message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read the next message; an `EOFError` means that the other process has ended."""
    head = stream.read(_SIZE)
    size = int.from_bytes(head, "little")
    message = stream.read(size)
    if len(head) < _SIZE or len(message) < size:
        raise EOFError
    return message
