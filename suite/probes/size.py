"""Size of the model, counted from its files and stored tensors, never from a manifest's claim."""

from __future__ import annotations

from suite.probes.base import Observed, Probe, Reading

_BITS_PER_BYTE = 8


class Size(Probe):
    """Bytes of the files, stored parameters, and bits per weight of the parent."""

    name = "size"
    title = "bytes of the files, parameters as stored (a packed word counts once), bits per weight of the parent"
    readings = (
        Reading("bytes", "B", False, ("file_bytes",), lambda s: s["file_bytes"][0]),
        Reading("parameters", "", None, ("parameters",), lambda s: s["parameters"][0]),
        Reading(
            "bits_per_weight",
            "bit",
            False,
            ("tensor_bytes", "parent_parameters"),
            lambda s: _BITS_PER_BYTE * s["tensor_bytes"][0] / s["parent_parameters"][0],
        ),
    )

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """One sample each; a model without tensors has no bits per weight."""
        weighs = observed.parent_parameters > 0
        return {
            "file_bytes": [float(observed.file_bytes)],
            "parameters": [float(observed.parameters)],
            "tensor_bytes": [float(observed.tensor_bytes)] if weighs else [],
            "parent_parameters": [float(observed.parent_parameters)] if weighs else [],
        }
