"""What a .pt2 file may not hold, and that nothing of it is unpickled or evaluated."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from format_samples import SHAPE
from pt2_samples import CONSTANTS, LOADER, PROGRAM, SAMPLES, WEIGHTS, changed, load, member, rewrite

from suite.errors import InputError, UnitError
from suite.files import unsafe_files
from suite.model import Array


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, crater: Path) -> None:
        self.crater = crater

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.crater,)


@pytest.fixture
def crater(tmp_path: Path) -> Path:
    return tmp_path / "it-was-run"


@pytest.fixture
def source(made: Path) -> Path:
    return made / "classification.pt2"


def bomb(crater: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save((Bomb(crater),), buffer)
    return buffer.getvalue()


class TestSampleInputs:
    def test_never_unpickled(self, source: Path, tmp_path: Path, crater: Path, images: list[Array]) -> None:
        armed = rewrite(source, tmp_path / "armed.pt2", **{SAMPLES: bomb(crater)})
        assert unsafe_files(armed) == LOADER.check(armed) == []
        LOADER.describe(armed)
        found, expected = load(armed).predict_proba(images), load(source).predict_proba(images)
        np.testing.assert_array_equal(np.stack(found), np.stack(expected))
        assert not crater.exists()

    def test_the_bomb_would_have_gone_off(self, source: Path, tmp_path: Path, crater: Path) -> None:
        armed = rewrite(source, tmp_path / "armed.pt2", **{SAMPLES: bomb(crater)})
        with contextlib.suppress(TypeError):  # torch's own log message about it is malformed
            torch.export.load(armed)
        assert crater.exists()

    def test_large_ones_are_noted(self, source: Path, tmp_path: Path) -> None:
        large = rewrite(source, tmp_path / "large.pt2", **{SAMPLES: b"\0" * 2_000_000})
        assert LOADER.check(large) == []
        assert load(large).facts.notes == ("stored sample inputs of 2000000 bytes were not read",)
        assert load(source).facts.notes == ()


class TestPickles:
    def test_use_pickle(self, source: Path, tmp_path: Path, crater: Path) -> None:
        def change(config: Any) -> None:
            next(iter(config["config"].values()))["use_pickle"] = True

        file = changed(source, tmp_path / "a.pt2", WEIGHTS, change)
        armed = rewrite(file, tmp_path / "b.pt2", **{"data/weights/weight_0": bomb(crater)})
        (finding,) = LOADER.check(armed)
        assert "use_pickle" in finding
        with pytest.raises(InputError, match="use_pickle"):
            load(armed)
        assert not crater.exists()

    @pytest.mark.parametrize("name", ["custom_obj_0", "opaque_obj_0", "../weights/weight_0"])
    def test_objects_among_the_constants(self, source: Path, tmp_path: Path, crater: Path, name: str) -> None:
        meta = next(iter(member(source, WEIGHTS)["config"].values()))
        stored = json.dumps({"config": {"c": {**meta, "path_name": name, "use_pickle": False}}}).encode()
        armed = rewrite(
            source, tmp_path / "a.pt2", **{CONSTANTS: stored, f"data/constants/{name}": pickle.dumps(Bomb(crater))}
        )
        found = LOADER.check(armed)
        assert len(found) == 1
        assert "a pickle" in found[0] or "members outside" in found[0]
        with pytest.raises(InputError):
            load(armed)
        assert not crater.exists()

    def test_legacy_weights_are_not_read(self, source: Path, tmp_path: Path, crater: Path) -> None:
        armed = rewrite(source, tmp_path / "a.pt2", **{"data/weights/model.pt": bomb(crater)})
        load(armed)
        assert not crater.exists()


class TestPrograms:
    """Text that torch would evaluate or resolve."""

    def findings(self, source: Path, target: Path, change: Callable[[Any], None]) -> list[str]:
        file = changed(source, target, PROGRAM, change)
        found = LOADER.check(file)
        if found:
            with pytest.raises(InputError):
                load(file)
        return found

    @pytest.mark.parametrize(
        "expression",
        [
            "__import__('os').system('touch {}')",
            "Symbol('s', positive=[c for c in ().__class__.__base__.__subclasses__()])",
            "sympify('1')",
            "(lambda: 1)()",
            "Symbol('a b')",
            "1 +",
        ],
    )
    def test_expressions(self, source: Path, tmp_path: Path, crater: Path, expression: str) -> None:
        def change(program: Any) -> None:
            values = program["graph_module"]["graph"]["tensor_values"]
            size = next(size for value in values.values() for size in value["sizes"] if "as_expr" in size)
            size["as_expr"]["expr_str"] = expression.format(crater)

        (finding,) = self.findings(source, tmp_path / "a.pt2", change)
        assert "expr_str" in finding
        assert not crater.exists()

    @pytest.mark.parametrize(
        "target",
        ["torch.os.system", "torch.load", "torch.ops.aten.from_file.default", "_operator.attrgetter", "#x:y",
         "torch.ops.higher_order.triton_kernel_wrapper_functional", "torch.ops.load_library", "math.__loader__"],
    )  # fmt: skip
    def test_targets(self, source: Path, tmp_path: Path, target: str) -> None:
        def change(program: Any) -> None:
            program["graph_module"]["graph"]["nodes"][0]["target"] = target

        (finding,) = self.findings(source, tmp_path / "a.pt2", change)
        assert f"target = {target!r}" in finding

    @pytest.mark.parametrize(
        "spec",
        [
            '[1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}]',
            '[1, {"type": "builtins.dict", "context": "[\\"x\'] or print(1)\\"]", "children_spec": []}]',
            '[1, {"type": "builtins.list", "context": "{\\"__enum__\\": true}", "children_spec": []}]',
            "[1]",
        ],
    )
    def test_trees(self, source: Path, tmp_path: Path, spec: str) -> None:
        def change(program: Any) -> None:
            program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = spec

        assert "in_spec" in self.findings(source, tmp_path / "a.pt2", change)[0]

    def test_names(self, source: Path, tmp_path: Path) -> None:
        def change(program: Any) -> None:
            program["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = ["x=print(1)"]

        assert "forward_arg_names" in self.findings(source, tmp_path / "a.pt2", change)[0]

    def test_guards_and_tracebacks_are_left_out(self, source: Path, tmp_path: Path, crater: Path) -> None:
        def change(program: Any) -> None:
            program["guards_code"] = [f"open({str(crater)!r}, 'w')"]
            for node in program["graph_module"]["graph"]["nodes"]:
                node["metadata"]["stack_trace"] = '"""\nimport os\n'

        assert self.findings(source, tmp_path / "a.pt2", change) == []
        load(tmp_path / "a.pt2").predict_proba([np.zeros(SHAPE, np.float32)])
        assert not crater.exists()

    def test_plain_programs_pass(self, tmp_path: Path) -> None:
        class Branches(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
                flat = torch.einsum("bchw,bdhw->bcd", x, x[:, : x.shape[1] // 2 + 1]).flatten(1)
                half = torch.nn.functional.interpolate(x, size=(x.shape[2] // 2, x.shape[3] // 2), mode="bilinear")
                return {"out": flat[:, :4] + half.mean((2, 3)).sum(1, keepdim=True)}

        dims = {
            0: torch.export.Dim("b"),
            2: torch.export.Dim("h", min=4, max=64),
            3: torch.export.Dim("w", min=4, max=64),
        }
        program = torch.export.export(Branches(), (torch.zeros(2, *SHAPE),), dynamic_shapes=(dims,))
        torch.export.save(program, tmp_path / "a.pt2")
        assert LOADER.check(tmp_path / "a.pt2") == []
        signature = LOADER.describe(tmp_path / "a.pt2").signature
        assert signature is not None
        assert signature.input_shape == (None, 3, None, None)
        with pytest.raises(UnitError, match="gives a dict"):
            load(tmp_path / "a.pt2").predict_proba([np.zeros(SHAPE, np.float32)])
