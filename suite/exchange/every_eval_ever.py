"""Records in the Every Eval Ever format (schema 0.3.0): one evaluation a record, one result a measurement.

What the schema has no field for (parent, compression, hardware, groups, reasons) goes as text into
``additional_details`` of the model, or ``details`` of a score. A measurement without a value has no place there: the
schema wants a number, so it is listed with its reason under ``additional_details`` of the source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from suite.record import Measurement, Record

VERSION = "0.3.0"
_GROUP = re.compile(r"^(?P<metric>[^\[]+)\[(?P<groups>[^\]]*)\]$")


def evaluation(record: Record) -> dict[str, Any]:
    """One record as an evaluation, ready for ``json.dumps``; valid under the schema."""
    when = str(int(datetime.fromisoformat(record.provenance.started).timestamp()))
    undefined = {f"undefined.{m.name}": m.reason or "" for m in record.measurements if m.value is None}
    return {
        "schema_version": VERSION,
        "evaluation_id": f"{record.task}/{record.manifest.name}/{when}/{record.unit_key[:12]}",
        "evaluation_timestamp": when,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": "Hallmark",
            "source_type": "documentation" if record.source == "imported" else "evaluation_run",
            "source_organization_name": ", ".join(record.manifest.authors) or "unknown",
            "evaluator_relationship": "other",
            "additional_details": _texts({"source": record.source, "unit_key": record.unit_key, **undefined}),
        },
        "eval_library": {
            "name": "hallmark-bench",
            "version": record.provenance.hallmark,
            "additional_details": _texts({"commit": record.provenance.commit, **record.provenance.packages}),
        },
        "model_info": _model(record),
        "evaluation_results": [_result(record, m) for m in record.measurements if m.value is not None],
    }


def evaluations(records: Sequence[Record]) -> list[dict[str, Any]]:
    """All records that hold a number; the schema has no evaluation without a result."""
    return [evaluation(record) for record in records if any(m.value is not None for m in record.measurements)]


def _model(record: Record) -> dict[str, Any]:
    manifest, machine = record.manifest, record.machine
    compression = manifest.compression
    details = {
        "deployment_type": "unknown" if record.source == "imported" else "self_deployed",
        "model_availability": "unknown",
        "title": manifest.title,
        "kind": manifest.kind,
        "format": manifest.format,
        "sha256": manifest.sha256,
        "licence": manifest.licence,
        "parent": manifest.parent,
        **({f"compression.{k}": v for k, v in compression.model_dump().items()} if compression else {}),
        **{f"operating_point.{k}": v for k, v in manifest.operating_point.items()},
        **{f"machine.{k}": v for k, v in machine.model_dump().items()},
        "observed_dtype": record.provenance.observed_dtype,
        "engine": record.provenance.engine,
    }
    return {"name": manifest.title, "id": manifest.name, "additional_details": _texts(details)}


def _result(record: Record, m: Measurement) -> dict[str, Any]:
    grouped = _GROUP.match(m.name)
    metric = grouped["metric"] if grouped else m.name
    groups = dict(part.split("=", 1) for part in grouped["groups"].split(",") if "=" in part) if grouped else {}
    config: dict[str, Any] = {
        "metric_id": m.name,
        "metric_name": metric,
        "metric_kind": metric,
        "lower_is_better": m.higher_is_better is False,
        "additional_details": _texts(
            {"direction": {True: "higher", False: "lower", None: "none"}[m.higher_is_better], **groups}
        ),
    }
    if m.unit:
        config["metric_unit"] = m.unit
    score: dict[str, Any] = {
        "score": m.value,
        "details": _texts({"n_clusters": m.n_clusters, "method": m.method, "reason": m.reason}),
    }
    if m.low is not None and m.high is not None:
        score["uncertainty"] = {
            "confidence_interval": {
                "lower": m.low, "upper": m.high, "confidence_level": 0.95, "method": m.method or "unknown",
            },
            "num_samples": m.n,
        }  # fmt: skip
    details = {
        "task_version": record.task_version,
        "protocol": record.protocol,
        "data_sha256": record.data_sha256,
        "generated_data": record.generated_data,
        "seed": record.seed,
        "limit": record.limit,
    }
    return {
        "evaluation_result_id": f"{record.unit_key[:12]}/{m.name}",
        "evaluation_name": record.task,
        "source_data": {
            "dataset_name": record.task,
            "source_type": "other",
            "additional_details": _texts({"sha256": record.data_sha256 or None}),
        },
        "metric_config": config,
        "score_details": score,
        "generation_config": {"additional_details": _texts(details)},
    }


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """Values as text, the missing ones left out."""
    return {key: str(value) for key, value in values.items() if value is not None}
