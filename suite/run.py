"""One (submission, task) -> one record: load, ask, score, measure, publish.

Batches are cut before the first forward, in an order that depends on nothing but the unit, and every finished batch
is journalled whole: a run that is killed continues where it was, and resuming changes no bit.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import suite
from suite import asking, costs, measure, outcomes, overlay, pictured, sampled, stopping
from suite.calibrate import CALIBRATION, applied
from suite.check import readings
from suite.child import Child
from suite.errors import AnswerError, UnitError
from suite.model import Facts, common_context
from suite.order import order_of
from suite.outcomes import CLUSTER, GROUP_PREFIX, ITEM
from suite.probes import PROBES
from suite.provenance import source_state
from suite.record import Measurement, Provenance, Record
from suite.remote import STAND_INS, RemotePredictions, blamed_on
from suite.store import READINGS_SUFFIX, Journal, Store, Stored
from suite.store import load as load_record
from suite.task import Beside, Example, Marks, Row, Timed
from suite.timing import roofline
from suite.unit import Prepared, Unit
from suite.watch import Watch

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]  # items done, items in all


@dataclass(frozen=True)
class Finished:
    """The record of a unit, and whether it was there already."""

    stored: Stored
    skipped: bool


def run(unit: Unit, store: Store, progress: Progress = lambda done, total: None) -> Finished:
    """Score one unit into the store; a unit whose key has a record is not run again unless asked.

    Raises:
        UnitError: the model failed; nothing is published, finished batches are kept.
        InfrastructureError: the disk is full or the child cannot be started.
    """
    name, task = unit.prepared.submission.name, unit.task
    with store.unit(unit.key) as journal:
        store.describe_task(task.name, task.description())
        before = store.of_unit(unit.key, name, task.name)
        if before is not None and not unit.options.again:
            return Finished(before, skipped=True)
        worst = overlay.worst_in(journal.pictures, unit.options.overlays, journal.begun())
        asked = _ask_all(unit, journal, progress, worst)
        columns = outcomes.to_columns(asked.table)
        measurements = measure.scores(task.scored(columns), columns, unit.options.seed)
        measurements += measure.readings(asked.series, asked.why_not)
        files = {".parquet": outcomes.to_parquet(asked.table)}
        pictures = worst.files() if worst else {}
        if asked.series:
            files[READINGS_SUFFIX] = outcomes.to_parquet(outcomes.series_table(asked.series))
        new = _record(unit, asked, measurements, files, before, task.marks(columns))
        path = store.publish(new, files | pictures, journal)
    return Finished(load_record(path), skipped=False)


@dataclass(frozen=True)
class _Asked:
    """What came of the child: outcomes in the task's order, raw readings, and the facts of the model.

    `used`: items after which the run was stopped as decided; ``None`` where all that were wanted are here.
    """

    table: pa.Table
    series: dict[str, list[float]]
    why_not: dict[str, str]
    facts: Facts
    started: datetime
    seconds: float
    used: int | None = None


def _ask_all(unit: Unit, journal: Journal, progress: Progress, worst: overlay.Worst | None) -> _Asked:
    started, clock = datetime.now(UTC), time.monotonic()
    with contextlib.ExitStack() as stack:
        windows = stack.enter_context(contextlib.ExitStack())
        probes = [windows.enter_context(make()) for make in PROBES.values()]
        scratch = journal.scratch()
        child = stack.enter_context(_child(unit, unit.prepared, scratch))
        model = _model(unit, child, stack, scratch)
        tables, resumed = _all_batches(unit, child, model, journal, progress, worst)
        windows.close()
        seen = costs.observed(unit, tables, child.rss_before_load_bytes, resumed)
        seen = sampled.activations(seen, unit, child, model)
    series, why_not = costs.read(probes, seen)
    static = readings(unit.prepared)
    why_not = static.reasons | why_not
    table = _scored(unit, tables)
    facts = _facts(child, model)
    facts = replace(facts, notes=(*facts.notes, *static.notes, *asking.drawn(table, unit)))
    if unit.options.overlays and worst is None:
        facts = replace(facts, notes=(*facts.notes, "no pictures of the worst cases: begun without them"))
    used = None
    if unit.rule is not None:
        facts = replace(facts, notes=(*facts.notes, stopping.note(unit.rule, table.num_rows)))
        used = table.num_rows if table.num_rows < unit.rule.looks[-1] else None
    return _Asked(table, series, why_not, facts, started, time.monotonic() - clock, used)


def _record(
    unit: Unit,
    asked: _Asked,
    measurements: list[Measurement],
    files: Mapping[str, bytes],
    before: Stored | None,
    marks: Marks,
) -> Record:
    task, readings = unit.task, files.get(READINGS_SUFFIX)
    return Record(
        unit_key=unit.key,
        manifest=unit.prepared.submission.manifest,
        task=task.name,
        task_version=task.version,
        protocol=_protocol(unit, asked.facts),
        data_sha256=task.data_sha256(),
        generated_data=task.dataset.generated,
        machine=unit.machine,
        measurements=tuple(measurements),
        provenance=Provenance(
            hallmark=suite.__version__,
            **source_state(),
            packages=unit.packages,
            started=asked.started.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            seconds=round(asked.seconds, 3),
            engine=asked.facts.engine,
            observed_dtype=asked.facts.dtype,
            notes=(*asked.facts.notes, *marks.notes),
        ),
        sandbox="none",
        source="predictions" if unit.prepared.predictions else "measured",
        parent_sha256=unit.parent.submission.manifest.sha256 if unit.parent else None,
        seed=unit.options.seed,
        limit=unit.options.limit if asked.used is None else asked.used,
        contended=marks.contended,
        energy_source=marks.energy_source,
        supersedes=before.path.stem if before else None,
        outcomes_sha256=outcomes.digest(files[".parquet"]),
        readings_sha256=outcomes.digest(readings) if readings else None,
    )


def _parent(unit: Unit, parent: Prepared, scratch: Path, stack: contextlib.ExitStack) -> Any:
    """The parent's stand-in, in a process of its own; a failure of it says whose it is."""
    whose = f"its parent {parent.submission.name}"
    with blamed_on(whose):
        child = stack.enter_context(_child(unit, parent, scratch))
    return STAND_INS[unit.task.kind](child, whose)


def _model(unit: Unit, child: Child, stack: contextlib.ExitStack, scratch: Path) -> Any:
    """What the task asks: the child's stand-in, a file of predictions, or a model beside its parent."""
    if unit.prepared.predictions:
        return RemotePredictions(child)
    model = STAND_INS[unit.task.kind](child, "")
    if unit.task.timed:
        parent = _parent(unit, unit.parent, scratch, stack) if unit.parent else None
        return Timed(model, parent, unit.alone, roofline.peaks(unit.machine))
    return model if unit.parent is None else Beside(model, _parent(unit, unit.parent, scratch, stack))


def _facts(child: Child, model: Any) -> Facts:
    """What was observed of the model; its context is what a parent beside it can take as well."""
    if not isinstance(model, (Beside, Timed)) or model.parent is None:
        return child.facts
    return replace(child.facts, context=common_context(child.facts.context, model.parent.facts.context))


def _protocol(unit: Unit, facts: Facts) -> str:
    return unit.task.protocol(unit.context or facts.context, facts.bos is not None)


def _child(unit: Unit, prepared: Prepared, scratch: Path) -> Child:
    order = order_of(prepared.submission, prepared.weights, unit.machine.device, unit.machine.threads)
    return Child(order, unit.options.time_limit_s, scratch)


def _all_batches(
    unit: Unit, child: Child, model: Any, journal: Journal, progress: Progress, worst: overlay.Worst | None
) -> tuple[list[pa.Table], bool]:
    """The rows of every batch, from the journal or from the model; and whether any came from the journal."""
    every = unit.task.examples(model)
    ask = asking.by_file(every) if unit.prepared.predictions else asking.by_task(unit)
    examples = asking.sample(every, unit)
    batches = asking.cut(examples, unit)
    watch = _watch(unit, _protocol(unit, _facts(child, model)))
    child.take_cost()  # what the examples cost (tokenizing) is no batch's
    total, done, resumed, tables = len(examples), 0, False, []
    for number, batch in enumerate(batches):
        table = journal.batch(number)
        if table is None:
            table = journal.keep(number, _ask(unit, child, partial(ask, model), batch, worst))
        else:
            resumed = True
        tables.append(table)
        done += len(batch)
        progress(done, total)
        scored = done - sum(example.calibration for _, example in examples) if watch else 0
        if watch and scored in watch.rule.looks and watch.enough(outcomes.to_columns(_scored(unit, tables))):
            break
    return tables, resumed


def _watch(unit: Unit, protocol: str) -> Watch | None:
    """What looks at the outcomes while they come in, where the run may stop early."""
    if unit.rule is None:
        return None
    other = unit.rule.misfit({"protocol": protocol})
    if other:
        raise UnitError(other)
    return Watch(unit.rule)


def _scored(unit: Unit, tables: list[pa.Table]) -> pa.Table:
    """The scored rows of these batches, in the task's order, with what the calibration split gives them."""
    table = _in_task_order(tables)
    return applied(table, unit.task.calibrates) if unit.task.calibrates else table


def _ask(
    unit: Unit,
    child: Child,
    ask: Callable[[Any], Sequence[Any]],
    batch: list[tuple[int, Example]],
    worst: overlay.Worst | None,
) -> pa.Table:
    """Put a batch to the model and join its labels; the batch's cost travels in the table's metadata."""
    examples = [example for _, example in batch]
    try:
        answers = ask(batch)
        rows = [
            _row(unit, position, example, answer) for (position, example), answer in zip(batch, answers, strict=True)
        ]
    except AnswerError as error:
        one = error.index is not None and error.index < len(examples)
        who = f"item {examples[error.index or 0].item!r}" if one else _span(examples)
        raise UnitError(f"{who}: {error}") from None
    except UnitError as error:
        raise UnitError(f"{_span(examples)}: {error}") from None
    seconds, cpu_seconds = child.take_cost()
    if worst:
        pictured.keep_worst(unit.task, worst, batch, answers, rows)
    cost = [len(batch), seconds, cpu_seconds, child.peak_rss_bytes or 0]
    table = outcomes.to_table(rows)
    return table.replace_schema_metadata({costs.COST: " ".join(repr(value) for value in cost)})


def _row(unit: Unit, position: int, example: Example, answer: Any) -> Row:
    groups = {GROUP_PREFIX + name: value for name, value in sorted(example.groups.items())}
    try:
        scored = unit.task.row(example, answer)
    except AnswerError as error:
        raise UnitError(f"item {example.item!r}: {error}") from None
    split = {CALIBRATION: example.calibration} if unit.task.calibrates else {}
    cluster = example.cluster or example.item
    return {"position": position, ITEM: example.item, CLUSTER: cluster, **groups, **split, **scored}


def _span(examples: Sequence[Example]) -> str:
    more = f" and {len(examples) - 1} more of its batch" if len(examples) > 1 else ""
    return f"item {examples[0].item!r}{more}"


def _in_task_order(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    plain = [table.replace_schema_metadata(None) for table in tables]
    return pa.concat_tables(plain).sort_by("position").drop_columns(["position"]).combine_chunks()
