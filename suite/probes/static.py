"""What the files hold, counted tensor by tensor by `suite.static`, and what their manifest claims of them."""

from __future__ import annotations

from suite.probes.base import Observed, Probe, Reading

_BITS_PER_BYTE = 8


class Static(Probe):
    """Zeros, distinct values, entropy and bits of the weights, bytes after zstd, MACs, claims that do not hold."""

    name = "static"
    title = (
        "zeros, distinct values, entropy, bits of the stored weights; bytes after zstd; MACs; claims that do not hold"
    )
    readings = (
        Reading("zstd_bytes", "B", False, ("zstd_bytes",), lambda s: s["zstd_bytes"][0]),
        Reading(
            "bits_per_quantised_weight",
            "bit",
            False,
            ("quantised_bytes", "quantised_weights"),
            lambda s: _BITS_PER_BYTE * s["quantised_bytes"][0] / s["quantised_weights"][0],
        ),
        Reading("unpacked_parameters", "", None, ("unpacked_parameters",), lambda s: s["unpacked_parameters"][0]),
        Reading(
            "nonzero_weights",
            "",
            None,
            ("weights", "zero_weights"),
            lambda s: s["weights"][0] - s["zero_weights"][0],
        ),
        Reading("sparsity", "", None, ("zero_weights", "weights"), lambda s: s["zero_weights"][0] / s["weights"][0]),
        Reading("distinct_values", "", None, ("distinct_values",), lambda s: s["distinct_values"][0]),
        Reading("weight_entropy", "bit", None, ("weight_entropy_bits",), lambda s: s["weight_entropy_bits"][0]),
        Reading("macs", "MAC", False, ("macs",), lambda s: s["macs"][0]),
        Reading("effective_macs", "MAC", False, ("effective_macs",), lambda s: s["effective_macs"][0]),
        Reading("claim_mismatches", "", False, ("claim_mismatches",), lambda s: s["claim_mismatches"][0]),
    )

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """One sample each, as counted before; what could not be counted is left out."""
        return {name: list(values) for name, values in observed.static.items()}
