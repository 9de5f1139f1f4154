"""Claims: the exclusive use of a folder by one process, until it releases it or ends.

A claim is a lock of the file system (``flock``), which ends with its process, on all machines that
share the disk. If a file system has no such locks, the claim is a lease: a file whose owner changes
it every 30 seconds. A lease that has not changed for 90 seconds of the observer's own clock can be
taken over. ``LAYERMIX_LOCKS=lease`` uses leases also where ``flock`` seems to work, but not between
machines.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

_LOCK, _LEASE = "lock", "lease"
_SECONDS = 90.0
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)  # in this file system


class FolderClaim:
    """The claim of a folder, which is created if necessary. Use `take`."""

    def __init__(self, folder: Path, lock: BaseFileLock) -> None:
        self.folder, self._lock = folder, lock

    @classmethod
    def take(cls, folder: Path, seconds: float = _SECONDS) -> "FolderClaim | None":
        """Claim a folder, or return None if another process has it.

        `seconds` is the time after which a lease without a change can be taken over; all processes
        must use the same.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if os.environ.get("LAYERMIX_LOCKS") != _LEASE:
            lock = FileLock(folder / _LOCK, fallback_to_soft=False, thread_local=False)
            try:
                return cls._taken(folder, lock)
            except FileNotFoundError:  # its owner finished it, and removes it
                return None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
        lease = _LEASES.setdefault(
            folder, SoftFileLease(folder / _LEASE, lease_duration=seconds, thread_local=False)
        )
        return None if lease.is_locked else cls._taken(folder, lease)

    @classmethod
    def _taken(cls, folder: Path, lock: BaseFileLock) -> "FolderClaim | None":
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        return cls(folder, lock)

    @classmethod
    def is_taken(cls, folder: Path) -> bool:
        """Return True if a process has claimed a folder."""
        if not any((folder / name).exists() for name in (_LOCK, _LEASE)):
            return False
        try:
            claim = cls.take(folder)
        except OSError:  # a disk that cannot be written
            return False
        if claim:
            claim.release()
        return claim is None

    @property
    def is_held(self) -> bool:
        """False if another process took over a lease, because this one was suspended."""
        return not isinstance(self._lock, SoftFileLease) or self._lock.compromise is None

    def release(self, *, remove: bool = False) -> None:
        """End the claim; if `remove` is True, also remove the folder with all files."""
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self._lock.release()
        _LEASES.pop(self.folder, None)
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)


# An observer of a lease must be the same object until the lease expires.
_LEASES: dict[Path, SoftFileLease] = {}
