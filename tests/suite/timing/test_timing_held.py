"""Operations of a call are those of float weights, or none: a counter that sees only the head says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from suite.timing import held

torch = pytest.importorskip("torch")


class Packed(torch.nn.Module):  # type: ignore[misc]
    """A linear layer whose 4-bit weights are buffers, eight in an int32, as GPTQ stores them; and a float head."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("qweight", torch.randint(0, 2**31 - 1, (rows // 8, columns), dtype=torch.int32))
        self.register_buffer("position_ids", torch.arange(64))
        self.head = torch.nn.Linear(columns, 2, bias=False)

    def forward(self, x: Any) -> Any:
        shifts = torch.arange(0, 32, 4, dtype=torch.int32)
        words = (self.qweight[:, None] >> shifts[:, None]) & 15
        return self.head((x[:, :, None] * (words.flatten(0, 1) - 8.0)).sum(1))


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Only the tensors of one model: other tests' may be alive in this process."""

    def only(model: Any, *more: Any) -> None:
        monkeypatch.setattr(held, "_tensors", lambda: [*model.parameters(), *model.buffers(), *more])

    return only


def test_weights_packed_into_buffers_have_no_count(live: Any) -> None:
    model, x = Packed(64, 64), torch.ones(3, 64)
    live(model, x)
    with torch.no_grad():
        assert held.flops(lambda: model(x)) == 0.0  # not 2 * 3 * 64 * 2, which is the head alone


def test_ids_masks_and_a_small_table_of_integers_hide_no_count(live: Any) -> None:
    model, x = torch.nn.Linear(64, 8, bias=False), torch.ones(3, 64)
    model.register_buffer("position_ids", torch.arange(4096))
    model.register_buffer("mask", torch.ones(128, 128, dtype=torch.bool))
    model.register_buffer("few", torch.zeros(25, dtype=torch.int32))
    live(model, x)
    with torch.no_grad():
        assert held.flops(lambda: model(x)) == 2 * 3 * 64 * 8
