"""Write the events of a run that is trained to its folder."""

from layermix.lab.engines.job import Event
from layermix.lab.store import RunResult, RunWriter, parsed_run


def write_event(writer: RunWriter, event: Event) -> None:
    """Write an event of a run that is trained."""
    match event.kind:
        case "started":
            writer.begin(*event.content)
        case "record":
            writer.record(event.content)
        case "checkpoint":
            writer.save(event.content)
        case "note":
            writer.log(event.content)


def finish_run(writer: RunWriter, files: dict[str, bytes]) -> RunResult:
    """Write a finished run, and return its result."""
    _, result = parsed_run(files)
    for text in result.warnings:
        writer.log(f"warning: {text}")
    writer.commit(files)
    return result


def records_text(writer: RunWriter) -> str:
    """Return where the records of an unfinished run are, as a sentence without a full stop."""
    return f"Its records are in {writer.folder}"
