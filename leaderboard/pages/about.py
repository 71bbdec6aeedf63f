"""About: how scores, intervals, verdicts and ranks are computed, in plain words with their formulas."""

from __future__ import annotations

import re
from typing import NamedTuple

import streamlit as st

from leaderboard import data, matrix, points, text
from leaderboard.board import Board
from suite import rankings
from suite.compared import ALPHA
from suite.metrics.calibration import BINS
from suite.metrics.codes import MIN_GROUP
from suite.ranks import RESAMPLES
from suite.significance import EXACT_CLUSTERS, N_SWAPS
from suite.stats import LEVEL, MAX_UNDEFINED, N_RESAMPLES
from suite.verdict import FEW_ITEMS

ROWS_RESAMPLES = 1000
BREAK = re.compile(r",\s*\\q?quad\s*")
PERCENT = f"{100 * LEVEL:.0f} %"


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        title: its heading.
        words: paragraphs (Markdown of our own, nothing of a record).
        formulas: LaTeX, shown after the words.
    """

    title: str
    words: str
    formulas: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "What a row is",
        "A row is the newest whole record of one model on one task, one machine and one device. A record is one file: "
        "every number with its interval, the outcome of every item beside it, and where it all came from. Runs on a "
        "part of a task (`--limit`) are left out, and so are records that another one replaces. Records of another "
        "task version, protocol or data are never compared with each other. A number that could not be had is "
        "missing, with its reason; it is never 0 and never counted as 0.",
    ),
    Section(
        "Values and their intervals",
        f"Every interval is two-sided and {PERCENT}. Items that belong together (windows of one text, scans of one "
        "patient) form a cluster, and clusters are what is counted or drawn, never single items of them. A share of "
        "hits has a Wilson interval, with clusters at the effective sample size. Every other metric is computed again "
        f"on {N_RESAMPLES:,} resamples of the clusters ({ROWS_RESAMPLES:,} for metrics that are no function of sums, "
        "such as AUROC); the interval goes from one percentile of these values to another, further out than the "
        "nominal ones where there are few clusters. AUROC and other rankings of items that belong to no cluster draw "
        "as many of each class as it has ('bootstrap-stratified'). A value that never varies and lies at one of two "
        "finite bounds has the exact (Clopper-Pearson) interval. With one cluster, no variation elsewhere, or more "
        f"than {100 * MAX_UNDEFINED:.0f} % of resamples without a value there is no interval, and the record says why.",
        (
            r"\text{Wilson:}\quad \frac{\hat p + \frac{z^2}{2n} \pm z\sqrt{\frac{\hat p(1-\hat p)}{n} + "
            r"\frac{z^2}{4n^2}}}{1 + \frac{z^2}{n}},\qquad z = 1.96",
            r"\text{percentile level:}\quad \Phi\!\left(-\sqrt{\tfrac{G}{G-1}}\; t_{G-1,\,0.975}\right)"
            r"\quad\text{for } G \text{ clusters, and its mirror image}",
        ),
    ),
    Section(
        "Change from the parent",
        "Child minus parent, on the same items. Both share every resample, so what the items have in common cancels; "
        "the interval is usually far shorter than the two models' own intervals suggest. Shares of hits take "
        "the adjusted Wald interval of Bonett and Price, which has length even where no answer flipped; other metrics "
        "the same bootstrap as above. On the leaderboard and the model page the verdict is "
        "**worse** or **better** where this interval excludes 0 and else **unclear**. It makes no allowance for how "
        "many rows there are: of a hundred children that lost nothing, about five are called better or worse.",
        (
            r"(\hat g - \hat l) \pm z\sqrt{\frac{\hat g + \hat l - (\hat g - \hat l)^2}{n + 2}},\qquad "
            r"\hat g = \frac{\text{gains} + 1}{n + 2},\quad \hat l = \frac{\text{losses} + 1}{n + 2}",
        ),
    ),
    Section(
        "Comparing a few models",
        "The compare page pairs items as `hallmark compare` does. Which test answers: the exact McNemar test for right "
        "or wrong with one item a cluster; a paired permutation of signs for means (all sign patterns up to "
        f"{EXACT_CLUSTERS} clusters with a change, else {N_SWAPS:,} random ones); the paired bootstrap for everything "
        "else. Holm's correction goes over the tasks' primary metrics of one pair of models. Where one side keeps no "
        "outcomes (imported records), or where this page cannot compute the metric again from the outcomes, the two "
        "are compared by their intervals alone; the page says UNPAIRED, and such a comparison needs several times "
        "the items. **Detects** is the true change that these items find with power 80 %.",
        (
            r"p_{\text{McNemar}} = P\left(|X - \tfrac m2| \ge |\text{gains} - \tfrac m2|\right),\quad "
            r"X \sim \text{Binomial}(m, \tfrac12),\quad m = \text{gains} + \text{losses}",
            r"\text{Holm:}\quad \tilde p_{(i)} = \max_{j \le i}\, \min\left(1, (k - j + 1)\, p_{(j)}\right)",
            r"\text{detects} = (z_{0.975} + z_{0.8})\,\mathrm{SE} = 2.8\,\mathrm{SE},\qquad "
            r"n_{\text{needed}} = n\left(\frac{2.8\,\mathrm{SE}}{\text{change}}\right)^2",
            r"\text{unpaired:}\quad \left[d - \sqrt{(b - b_l)^2 + (a_u - a)^2},\; "
            r"d + \sqrt{(b_u - b)^2 + (a - a_l)^2}\right],\quad d = b - a",
        ),
    ),
    Section(
        "Flips and agreement",
        "A flip is an answer that is right in one of two models and wrong in the other; equal scores can hide many. "
        "Error consistency says how far two models err on the same items beyond what independent errors would give.",
        (
            r"\text{volume} = \frac{\text{gains} + \text{losses}}{n},\quad "
            r"\text{direction} = \frac{\text{gains}}{\text{gains} + \text{losses}},\quad "
            r"\text{acc}_{\text{child}} = \text{acc}_{\text{parent}} + \text{volume}\,(2\,\text{direction} - 1)",
            r"\kappa = \frac{c - e}{1 - e},\quad c = \text{share of equal verdicts},\quad e = pq + (1-p)(1-q)",
        ),
    ),
    Section(
        "Retention and recovery",
        "How much of the parent's value is left: 1 is all of it, either way round. It has no value where one of the "
        f"two is not above 0 or the metric has no direction. {matrix.RULE}",
        (
            r"\text{retention} = \frac{\text{child}}{\text{parent}}\;\text{ or }\;"
            r"\frac{\text{parent}}{\text{child}}\text{ where lower is better}",
            r"\text{recovery above chance} = \frac{q - \text{chance}}{p - \text{chance}}",
        ),
    ),
    Section(
        "Ranks and tie groups",
        "A model has no single rank but the ranks that are not ruled out, among all models of the same task, version, "
        "protocol, data and metric, each once; filters do not change them. 'rank from' says which of two ways it was. "
        f"**Paired resamples**: all models of a task are scored on {RESAMPLES:,} shared resamples of its clusters when "
        f"`hallmark board` starts (up to {rankings.MOST} models). Model j is surely better than i where their "
        f"difference over its standard error exceeds the {PERCENT} quantile of the largest such deviation from i, so "
        "all comparisons of i hold together (Mogstad, Romano, Shaikh and Wilhelm 2024). **Intervals**: where "
        "outcomes are missing for some model, only the overlap of the models' own intervals counts; that is mostly "
        "wider, and makes no allowance for the number of comparisons. Models that share a letter are a run of "
        "neighbours of which no two are surely different.",
        (
            r"\text{rank} \in \left[1 + \#\{\text{surely better}\},\; M - \#\{\text{surely worse}\}\right]",
            r"j \text{ surely better than } i:\quad \frac{s_j - s_i}{\mathrm{se}_{ij}} > q_{0.95}\left(\max_j "
            r"\frac{|(s^*_i - s^*_j) - (s_i - s_j)|}{\mathrm{se}_{ij}}\right)",
        ),
    ),
    Section(
        "Gate verdicts",
        "The history page holds each record against the one before it, as `hallmark gate` does. Changes are turned so "
        "that more is better. **Regressed**: the whole interval lies beyond the margin. **Non-inferior**: shown at "
        f"{100 * ALPHA:.0f} % to lie within it. **Inconclusive**: neither; it says how many items would decide. "
        f"Fewer than {FEW_ITEMS} items decide nothing. Each step is judged on its own there; `hallmark gate` with a "
        "policy corrects over all its metrics (Holm). Without a margin, one standard error of the baseline is allowed.",
        (
            r"\text{regressed:}\; p(\text{gain} \ge -\text{margin}) \le \tfrac{\alpha}{2},\qquad "
            r"\text{non-inferior:}\; p(\text{gain} \le -\text{margin}) \le \alpha",
        ),
    ),
    Section(
        "Calibration and selective prediction",
        f"The expected calibration error has {BINS} bins of equal width, the upper end belonging to the bin; it is "
        "biased upward in small samples, so records hold the value that a perfectly calibrated model would get by "
        "chance beside it (`..._null`) where the task reports it. The column takes the first of the record's "
        "calibration errors that has a value; 'calibration by' names it. The risk-coverage curve accepts items from "
        "the surest down; items of equal confidence are accepted together.",
        (
            rf"\mathrm{{ECE}} = \sum_{{b=1}}^{{{BINS}}} \frac{{n_b}}{{N}}\,|\mathrm{{acc}}_b - \mathrm{{conf}}_b|",
            r"\text{risk}(c) = \frac{\text{wrong among the accepted}}{\text{accepted}},\quad "
            r"c = \frac{\text{accepted}}{N}",
        ),
    ),
    Section(
        "Groups",
        f"The worst group is the one with the worst value; the gap is the largest minus the smallest. Classification "
        f"tasks give groups of fewer than {MIN_GROUP} items no value of their own. "
        "Gaps of small groups are biased upward: read them beside what chance alone would give (`..._gap_null`). The "
        "task page plots one group against another, a point a model, with a line fitted on the probit scale (Miller "
        "2021); a model above it does better on the second group than its value on the first lets expect.",
        (r"\Phi^{-1}(\text{second}) = \text{intercept} + \text{slope}\;\Phi^{-1}(\text{first})",),
    ),
    Section(
        "Size, speed and memory",
        "Bytes are those of all the model's files. Bits per weight divide the bits of all stored tensors by the "
        "*parent's* number of weights (a parent's by its own), so that children of one parent compare. A latency ratio "
        "is taken from calls that took turns with the parent's in the same runtime; where a record has none, it is the "
        "ratio of the two median latencies, and only with the same machine, device, threads and format. "
        "Time and memory of different machines are never compared. The roofline is measured on the machine, not read "
        "from a data sheet; it counts the bytes of the weights, not of activations.",
        (r"\text{attainable} = \min\left(\text{peak FLOP/s},\; \text{bandwidth} \times \text{FLOP/B}\right)",),
    ),
    Section(
        "Pareto line",
        "On the line are the models that no other one that passes the filters beats on both columns. Points are drawn "
        f"up to {points.MOST_DRAWN:,}; the line is always that of all. The bits score of a "
        "segmentation model sets the Dice kept of its parent's against the stored bits saved; U-Score, and its variant "
        "with bits, is defined on the data sets of U-Bench alone. `hallmark board` makes all three of the records.",
        (
            r"\text{bits score} = \frac{100}{0.5/A + 0.5/E},\qquad A = \text{clip}\left("
            r"\frac{\text{Dice}/\text{parent's} - 0.9}{0.1}, 0.05, 1\right),\qquad E = \text{clip}\left("
            r"\frac{\log_2(\text{parent's bits}/\text{bits})}{5}, 0.05, 1\right)",
        ),
    ),
)


def main() -> None:
    """The page."""
    data.restore("about")
    board = data.board()
    st.title("About")
    st.markdown(
        "Hallmark scores compressed and trained models beside the models that they were made from. This page says how "
        "its numbers are made. `hallmark verify` computes every number of a folder of records again from the outcomes."
    )
    for section in SECTIONS:
        st.subheader(section.title)
        st.markdown(section.words)
        for formula in section.formulas:
            for part in BREAK.split(formula):  # one line each, for narrow screens
                st.latex(part)
    _here(board)


def _here(board: Board) -> None:
    """What this board shows."""
    st.subheader("This board")
    files = len(board.table)
    st.text(
        f"{text.count(files, 'record file')}, {len(board.problems):,} of them unreadable, {board.limited:,} of a part "
        f"of a task; {text.count(len(board.rows), 'row')}."
    )
    if not board.indexed:
        st.text("Changes from parents and paired ranks are computed when the board is opened with hallmark board.")


if __name__ == "__main__":
    main()
