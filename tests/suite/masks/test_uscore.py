from __future__ import annotations

import math
from statistics import harmonic_mean

import pytest

from suite.errors import InputError
from suite.masks.uscore import IOU_PERCENTILES, u_score, u_score_bits

BUSI = IOU_PERCENTILES["BUSI"]
UNET = (0.6557507, 34.527041, 65.522368512, 137.05495)


def test_the_authors_unet_on_busi() -> None:
    assert round(u_score(*UNET, BUSI), 2) == 19.26


def test_it_is_a_harmonic_mean_of_harmonic_means() -> None:
    iou, parameters, gflops, fps = 0.66, 10.0, 9.0, 60.0
    p, g = (4.32 - math.log(parameters)) / 3.93, (4.20 - math.log(gflops)) / 3.32
    parts = (p, g, (fps - 24.28) / 97.35)
    quality = (iou - BUSI[0]) / (BUSI[1] - BUSI[0])
    expected = 100 * harmonic_mean([quality, harmonic_mean(parts)])
    assert u_score(iou, parameters, gflops, fps, BUSI) == pytest.approx(expected)


def test_its_traps_are_kept() -> None:
    assert u_score(UNET[0], UNET[1], UNET[2], 4 * UNET[3], BUSI) == u_score(*UNET, BUSI)
    useless = u_score(0.30, 0.1, 0.1, 500, BUSI)
    assert round(useless, 2) == 9.52
    assert round(u_score(0.9, 1000, 1000, 1, BUSI), 2) == 9.52


def test_bits_see_what_the_parameters_hide() -> None:
    iou, parameters, gflops, fps = 0.66, 10.0, 9.0, 60.0
    full = u_score_bits(iou, parameters * 1e6 * 32, gflops, fps, BUSI)
    assert full == pytest.approx(u_score(iou, parameters, gflops, fps, BUSI))
    eight = u_score_bits(iou, parameters * 1e6 * 8, gflops, fps, BUSI)
    assert eight == pytest.approx(u_score(iou, parameters / 4, gflops, fps, BUSI))
    assert eight > full


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((65.6, 1, 1, 1), "not percent"),
        ((0.5, 0, 1, 1), "parameters_m"),
        ((0.5, 1, math.nan, 1), "gflops"),
        ((0.5, 1, 1, -1), "fps"),
    ],
)
def test_bad_numbers_are_refused(values, words) -> None:
    with pytest.raises(InputError, match=words):
        u_score(*values, BUSI)
