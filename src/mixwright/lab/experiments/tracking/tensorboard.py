"""Runs as TensorBoard reads them: one file of events each, which grows with its run."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mixwright.files import write_whole
from mixwright.lab.experiments.tracking.runs import TrackedRun
from mixwright.lab.settings import write_value
from mixwright.requirements import require

_EVENTS = "events.out.tfevents.mixwright"  # one name, so that no run has two files


def write_events(runs: Sequence[TrackedRun], out: Path) -> Path:
    """Write the events of every run into ``out/NAME``, scalars by epoch and its recipe as text.

    A file follows from its run alone, byte by byte, so that doing it again changes nothing. Where
    a run went on, what is new is added at the end of the file, where TensorBoard waits for it;
    where a run was begun anew, its file is replaced.

    Raises:
        ImportError: tensorboard is missing or too old.
    """
    tensorboard = _tensorboard()
    for run in runs:
        folder = out / run.name
        folder.mkdir(parents=True, exist_ok=True)
        _grow(folder / _EVENTS, _events(run, tensorboard))
    return out


def _grow(path: Path, content: bytes) -> None:
    there = path.read_bytes() if path.exists() else b""
    if not content.startswith(there) or not there:
        write_whole(path, lambda file: file.write(content))
    elif content != there:  # in place: TensorBoard holds the file open and reads on
        with path.open("r+b") as file:
            file.seek(len(there))
            file.write(content[len(there) :])


def _events(run: TrackedRun, tensorboard: Any) -> bytes:
    """The events of a run; those of a run that has gone on begin with the same bytes."""
    file = io.BytesIO()
    writer = tensorboard.RecordWriter(file)
    clock = run.started

    def add(**content: Any) -> None:
        event = tensorboard.Event(wall_time=clock, **content)
        writer.write(event.SerializeToString(deterministic=True))

    add(file_version="brain.Event:2")
    for summary in _about(run, tensorboard):
        add(step=0, summary=summary)
    for record, points in itertools.zip_longest(run.epochs, run.points()):
        if record is not None:  # else they are those of the result
            clock += float(record.get("seconds") or 0.0)
            if record["warnings"]:
                words = tensorboard.text("warnings", "\n\n".join(record["warnings"]))
                add(step=record["epoch"], summary=words)
        for epoch, group in itertools.groupby(points, key=lambda point: point.epoch):
            summary = tensorboard.Summary()
            for point in group:
                summary.value.add(tag=_tag(point.measure, point.weights), simple_value=point.value)
            add(step=epoch, summary=summary)
    return file.getvalue()


def _about(run: TrackedRun, tensorboard: Any) -> Iterator[Any]:
    """The recipe, as a table to read and as what TensorBoard compares runs by."""
    plain = {
        name: value if type(value) in (int, float) else write_value(value)
        for name, value in dataclasses.asdict(run.recipe).items()
    }
    rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in plain.items())
    yield tensorboard.text("recipe", f"| option | value |\n|---|---|\n{rows}")
    judged = {_tag("test.top1", weights): 0.0 for weights in ("raw", "ema")}
    for summary in tensorboard.hparams(plain, judged)[:2]:  # what is compared, and this run
        plugin = summary.value[0].metadata.plugin_data
        content = tensorboard.HParamsPluginData.FromString(plugin.content)
        plugin.content = content.SerializeToString(deterministic=True)  # its maps have no order
        yield summary


def _cell(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|")


def _tag(measure: str, weights: str) -> str:
    """``test/top1/ema``: TensorBoard groups by what stands before the first stroke."""
    path = measure.replace(".", "/") + (f"/{weights}" if weights else "")
    return re.sub(r"[^-/\w.]", "_", path)


def _tensorboard() -> Any:
    """What of tensorboard, and of torch's part in it, makes events."""
    require("tensorboard", "2.18", "tensorboard")
    return SimpleNamespace(
        **{name: getattr(import_module(module), name) for name, module in _FROM.items()}
    )


_FROM = {
    "Event": "tensorboard.compat.proto.event_pb2",
    "Summary": "tensorboard.compat.proto.summary_pb2",
    "HParamsPluginData": "tensorboard.plugins.hparams.plugin_data_pb2",
    "RecordWriter": "tensorboard.summary.writer.record_writer",
    "hparams": "torch.utils.tensorboard.summary",
    "text": "torch.utils.tensorboard.summary",
}
