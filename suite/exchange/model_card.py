"""Records of one submission as the ``model-index`` of a Hugging Face model card (YAML between two lines of dashes)."""

from __future__ import annotations

from collections.abc import Sequence

from suite.errors import InputError
from suite.record import Record

_TASKS = {
    "language": "text-generation",
    "segmentation": "image-segmentation",
    "classification": "image-classification",
}


def model_index(records: Sequence[Record]) -> str:
    """The metadata block of a model card: one result for each measurement that has a value.

    Raises:
        InputError: the records are of several submissions, or hold no value.
    """
    from huggingface_hub import EvalResult, ModelCardData

    names = sorted({record.manifest.name for record in records})
    if len(names) != 1:
        raise InputError(f"a model card is of one submission; name one of: {', '.join(names) or 'none'}")
    results = [
        EvalResult(
            task_type=_TASKS[record.manifest.kind],
            dataset_type=record.task,
            dataset_name=record.task,
            dataset_revision=record.data_sha256 or None,
            metric_type=m.name,
            metric_value=m.value,
            metric_name=f"{m.name} ({m.unit})" if m.unit else m.name,
            metric_config=f"{record.protocol}, task version {record.task_version}",
            metric_args={"low": m.low, "high": m.high, "level": 0.95} if m.low is not None else None,
        )
        for record in records
        for m in record.measurements
        if m.value is not None
    ]
    if not results:
        raise InputError(f"{names[0]} has no measurement with a value; there is nothing to write")
    manifest = records[0].manifest
    card = ModelCardData(
        model_name=manifest.name,
        eval_results=results,
        license=manifest.licence.lower() if manifest.licence else None,
        base_model=manifest.parent,
    )
    return f"---\n{card.to_yaml().strip()}\n---\n"
