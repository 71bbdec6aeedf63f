"""Log-probabilities from features: the vocabulary projection where a token is scored, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from suite.model import Ints, TokenScores

if TYPE_CHECKING:
    import torch

LOGITS_BYTES = 1 << 25  # of float32 logits held at once: more rows save little, and leave the cache
_SOFTMAX_BYTES = 1 << 22  # of probabilities at once on a processor: memory that is reused, not asked for anew

Head = Callable[["torch.Tensor"], "torch.Tensor"]


def rows_at_once(vocabulary: int, logits_bytes: int = LOGITS_BYTES) -> int:
    """Rows of float32 logits that fit in so many bytes, at least one."""
    return max(1, logits_bytes // (4 * max(1, vocabulary)))


def empty(size: int) -> TokenScores:
    """Scores of so many tokens, yet to be filled."""
    return TokenScores(np.empty(size), np.empty(size), np.empty(size, dtype=np.bool_))


def joined(parts: Sequence[TokenScores]) -> TokenScores:
    """Scores of consecutive tokens as one."""
    return TokenScores(
        np.concatenate([part.logprobs_T for part in parts]),
        np.concatenate([part.top_logprobs_T for part in parts]),
        np.concatenate([part.greedy_T for part in parts]),
    )


def split(scores: TokenScores, sizes: Sequence[int]) -> list[TokenScores]:
    """Scores of consecutive tokens cut into so many each."""
    cuts = np.cumsum(sizes)[:-1]
    fields = (np.split(values, cuts) for values in (scores.logprobs_T, scores.top_logprobs_T, scores.greedy_T))
    return [TokenScores(*values) for values in zip(*fields, strict=True)]


def score(head: Head, features_ND: torch.Tensor, rows_P: Ints, targets_P: Ints, step: int) -> TokenScores:
    """For each pair p: log p(target_p | features of row_p), a float32 log-softmax over the logits of that row.

    Args:
        head: features [N, D] to logits [N, V]; each row is projected once, however many targets it has.
        features_ND: of the scored positions.
        rows_P: for each pair, its row of `features_ND`, never falling.
        targets_P: for each pair, a token id.
        step: rows of logits held at once.
    """
    found = empty(len(rows_P))
    for start in range(0, len(features_ND), step):
        logits_NV = head(features_ND[start : start + step]).float()
        small = len(logits_NV) if logits_NV.is_cuda else rows_at_once(logits_NV.shape[1], _SOFTMAX_BYTES)
        for low in range(0, len(logits_NV), small):
            first, last = np.searchsorted(rows_P, [start + low, start + min(low + small, len(logits_NV))])
            pairs = slice(first, last)
            _fill(found, pairs, logits_NV[low : low + small], rows_P[pairs] - start - low, targets_P[pairs])
    return found


def _fill(found: TokenScores, pairs: slice, logits_NV: torch.Tensor, rows_P: Ints, targets_P: Ints) -> None:
    """The scores of each target in its row; argmax is slow, so only for targets as likely as their row's likeliest."""
    import torch

    rows, targets = (torch.from_numpy(values).to(logits_NV.device) for values in (rows_P, targets_P))
    logprobs_NV = logits_NV.log_softmax(dim=1)  # one fused pass; logsumexp takes twice as long
    logprobs_P, top_P = logprobs_NV[rows, targets], logprobs_NV.amax(dim=1)[rows]
    greedy_P = logprobs_P == top_P
    reached = rows[greedy_P]
    if len(reached) > 0:
        greedy_P[greedy_P.clone()] = logprobs_NV[reached].argmax(dim=1) == targets[greedy_P]
    found.logprobs_T[pairs] = logprobs_P.cpu().numpy()
    found.top_logprobs_T[pairs] = top_P.cpu().numpy()
    found.greedy_T[pairs] = greedy_P.cpu().numpy()


def score_nodes(
    head: Head, flat_FD: torch.Tensor, nodes: list[Ints], targets: list[Ints], step: int
) -> list[TokenScores]:
    """Scores of several requests' tokens, positions that they share projected once.

    Args:
        head: features to logits.
        flat_FD: features of all positions of a forward.
        nodes: for each request, the rows of `flat_FD` that predict its targets.
        targets: for each request, its token ids.
        step: rows of logits held at once.
    """
    import torch

    positions_N, rows_P = np.unique(np.concatenate(nodes), return_inverse=True)
    order = np.argsort(rows_P, kind="stable")
    features_ND = flat_FD[torch.from_numpy(positions_N).to(flat_FD.device)]
    in_order = score(head, features_ND, rows_P[order], np.concatenate(targets)[order], step)
    found = empty(len(order))
    found.logprobs_T[order] = in_order.logprobs_T
    found.top_logprobs_T[order] = in_order.top_logprobs_T
    found.greedy_T[order] = in_order.greedy_T
    return split(found, [len(part) for part in nodes])
