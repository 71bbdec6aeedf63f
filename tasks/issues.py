"""Known issues: what a reader should know of a task's data before believing a number of it, with the source.

One place for all tasks, by name; a key that ends with ``*`` is the beginning of names. Only what is published, or what
the data show themselves, stands here. `of` gives the lines of one task.
"""

from __future__ import annotations

_CIFAR10 = (
    "About 0.54 % of the test labels are wrong (Northcutt 2021, Pervasive Label Errors in Test Sets).",
    "3.3 % of the test images have near-duplicates among the training images (Barz and Denzler 2020, ciFAIR).",
)
_HUNDRED = "100 images: at 90 % accuracy the 95 % interval is about 12 points wide; compare pairs of models only."
_WIKIPEDIA = (
    "Articles of Wikipedia, which most pretraining corpora hold: a low perplexity can be memory. A change between a "
    "model and its compressed child is less affected than the value itself."
)
_WEB = "Web text: what a model was trained on may hold it."
_PTB = "Lower-case newspaper text of 1989 with rare words as <unk> and numbers as N, unlike what models are used for."
_LABELLED = (
    "The labels of the official test cases are withheld, so the cases scored are those that others train on: a model "
    "trained on this data set has seen them. Read what its manifest says of its training."
)
_STEREOTYPES = (
    "Many pairs are unclear, or differ in more than the group that they name (Blodgett 2021, Stereotyping Norwegian "
    "Salmon): a score near its ideal does not show that a model is harmless."
)
_DIGITS = "Nearly solved: good models differ by a few of the 897 test images."
_NOT_CLINICAL = "Images shrunk to 28 x 28; its authors say that it is not for clinical use (Yang 2023)."

_ISSUES: dict[str, tuple[str, ...]] = {
    "digits": (_DIGITS,),
    "digits-*": (_DIGITS,),
    "tinystories": (
        "Five stories, written by a language model (Eldan and Li 2023): documents are the clusters, so intervals are "
        "wide, and the text is far simpler than people's.",
    ),
    "wikitext2*": (_WIKIPEDIA,),
    "parent-distance-wikitext2": (_WIKIPEDIA,),
    "c4": (_WEB, "The windows are drawn at random once, as in GPTQ's code; other code draws others."),
    "c4-new": (_WEB,),
    "ptb*": (_PTB,),
    "cifar10": _CIFAR10,
    "cifar10-labels": _CIFAR10,
    "cifar10-100*": (_HUNDRED, *_CIFAR10),
    "cifar10-c-*": (
        "Corruptions are synthetic, and five severities of one image are no five items: intervals count images.",
        *_CIFAR10,
    ),
    "cifar10.1": (
        "Accuracy is 4 to 10 points below that on CIFAR-10 for models that have seen neither (Recht 2018): a change "
        "of distribution, not only of difficulty.",
    ),
    "cifar100": (
        "About 5.85 % of the test labels are wrong (Northcutt 2021, Pervasive Label Errors in Test Sets).",
        "10 % of the test images have near-duplicates among the training images (Barz and Denzler 2020, ciFAIR).",
    ),
    "imagenet-1k": (
        "About 5.83 % of the labels are wrong (Northcutt 2021), and many images show several classes of which one is "
        "counted as right (Beyer 2020, Are we done with ImageNet?).",
    ),
    "medmnist-*": (_NOT_CLINICAL,),
    "medmnist-derma": (
        _NOT_CLINICAL,
        "Images of one lesion lie on both sides of the split (Abhishek 2025, on the quality of DermaMNIST).",
    ),
    "medmnist-breast": (_NOT_CLINICAL, "156 test images: intervals are wide."),
    "medmnist-retina": (_NOT_CLINICAL, "400 test images of unequal classes: intervals are wide."),
    "mlperf-tiny-kws": ("1,000 sounds that MLPerf Tiny chose; half a point of accuracy is five sounds.",),
    "adult": (
        "The line of 50,000 dollars is of 1994 and lies high in that year's incomes, most of all for women and Black "
        "people: fairness measured here depends on it (Ding 2021, Retiring Adult).",
        "The survey's weights (fnlwgt) are a feature, not weights of people, as in most published work.",
    ),
    "german-credit": (
        "Loans of 1973 to 1975; bad risks are oversampled, and the published meanings of several codes are wrong "
        "(Groemping 2019, South German Credit Data).",
        "Sex is recorded together with the marital status, and unmarried women are missing.",
        "200 people are tested: group gaps are mostly noise; read them beside their null.",
    ),
    "crows-pairs*": (_STEREOTYPES,),
    "stereoset": (_STEREOTYPES,),
    "bbq": ("Templates about groups in the United States: nothing is said of other places (Parrish 2022).",),
    "winobias": (
        "Sentences of two templates, occupations by their shares in the United States: a probe, not a sample of text.",
    ),
    "winogender": ("720 sentences of 120 templates: the templates are what varies, and differences are small.",),
    "drive": ("20 test images of one screening programme: intervals are wide.",),
    "isic2018": ("Duplicate images are known within and between the ISIC years (Cassidy 2022).",),
    "acdc": ("50 test patients of one hospital.",),
    "brats": ("The years share patients: BraTS 2021 holds cases of earlier years, so they do not add up.", _LABELLED),
    "btcv": (_LABELLED, "30 scans: intervals are wide."),
    "synapse": (
        "12 test scans and no validation part: many published numbers are of the checkpoint that was best on them.",
        "The same scans as BTCV.",
    ),
    "lits": (_LABELLED, "The same scans as MSD's liver task: count one of the two."),
    "msd_*": (_LABELLED,),
    "msd_liver": (_LABELLED, "The same scans as LiTS: count one of the two."),
    "seg_dsb2018_nuclei": (
        "42 of the published training images of the challenge: a model trained on it may have seen them.",
        "42 images: intervals are wide.",
    ),
    "seg_msd_hippocampus": (
        "12 cases: intervals are wide.",
        "They are of the challenge's training cases: a model trained on it may have seen them.",
    ),
    "totalsegmentator": (
        "The reference was made in rounds with a model's help and corrected by people (Wasserthal 2023): it may favour "
        "models of that family (nnU-Net).",
    ),
    "lm-eval:hellaswag*": (
        "Ungrammatical and ambiguous items, and wrong endings that are as good as the right one (Chizhov 2025, What "
        "the HellaSwag?; Chen 2022 counts errors in 36 % of a sample).",
    ),
    "lm-eval:mmlu*": (
        "6.49 % of the questions are estimated to be wrong or ambiguous, far more in some subjects (Gema 2024, Are We "
        "Done with MMLU?).",
    ),
    "lm-eval:gsm8k*": (
        "Some model families do worse on new questions of the same kind, a sign that they have seen these (Zhang 2024, "
        "GSM1k).",
    ),
    "lm-eval:openbookqa*": ("500 test questions: at 50 % accuracy the 95 % interval is about 9 points wide.",),
}


def of(name: str) -> tuple[str, ...]:
    """The known issues of a task; of several keys that fit the longest counts.

    >>> of("digits-halves") == of("digits"), of("nothing-like-it")
    (True, ())
    """
    fits = [key for key in _ISSUES if name == key or (key.endswith("*") and name.startswith(key[:-1]))]
    return _ISSUES[max(fits, key=len)] if fits else ()
