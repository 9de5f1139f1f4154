"""Files of studies and runs: JSON, JSONL, and safetensors for tensors; no pickles.

`records` has the configuration and the results of a run, `manifest` checks that they are complete
and unchanged, and `run_writer` writes them, in a folder that this process has claimed (`claims`).
"""

from layermix.lab.store.checkpoints import SavedState
from layermix.lab.store.files import (
    disk_errors,
    disk_problem,
    read_json,
    read_typed,
    write_bytes,
    write_json,
)
from layermix.lab.store.manifest import (
    FEATURES,
    MANIFEST,
    WEIGHTS,
    DamagedRun,
    read_manifest,
    state_of,
    verify,
)
from layermix.lab.store.records import (
    Record,
    RunConfig,
    RunResult,
    parsed_run,
    read_logits,
    read_result,
    read_run,
    read_tensors,
    require_settings,
    run_files,
)
from layermix.lab.store.run_writer import RunWriter, read_attempts, set_aside, unfinished_path

__all__ = ["FEATURES", "MANIFEST", "WEIGHTS", "DamagedRun", "Record", "RunConfig"]
__all__ += ["RunResult", "RunWriter", "SavedState", "disk_errors", "disk_problem", "parsed_run"]
__all__ += ["read_attempts", "read_json", "read_logits", "read_manifest", "read_result"]
__all__ += [
    "read_run",
    "read_tensors",
    "read_typed",
    "require_settings",
    "run_files",
    "set_aside",
    "state_of",
]
__all__ += ["unfinished_path", "verify", "write_bytes", "write_json"]
