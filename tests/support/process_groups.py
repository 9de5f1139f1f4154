"""Leave a process group at the end of a process."""

import gc

import torch


def leave_group() -> None:
    """Destroy the process group, after all processes are done and nothing else holds it.

    Otherwise a thread of the group may still run when the process ends, which aborts it.
    """
    torch.distributed.barrier()
    gc.collect()
    torch.distributed.destroy_process_group()
