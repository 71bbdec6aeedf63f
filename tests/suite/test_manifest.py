from __future__ import annotations

from pathlib import Path

import pytest
from support import REPOSITORY

from suite.errors import InputError
from suite.manifest import Manifest

FIXTURE = REPOSITORY / "tests" / "fixtures" / "stories260k-int8"


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "submission.toml").write_text(text)
    return folder


def test_the_documented_example_is_read() -> None:
    m = Manifest.load(FIXTURE)
    assert (m.name, m.kind, m.format, m.parent, m.tasks) == (
        *("stories260k-int8", "language", "onnx", "stories260k"),
        ("tinystories",),
    )
    assert m.compression is not None
    assert (m.compression.bits, m.compression.sparsity, m.inputs.context) == (8, 0.0, 512)
    assert m.reported == {"perplexity": 3.55}


MUTATIONS = [
    ('title = "', 'titel = "', "unknown key 'titel'; did you mean 'title'?"),
    ("context = 512", "contxt = 512", "unknown key 'inputs.contxt'; did you mean 'context' or 'output'?"),
    ('kind = "language"', 'kind = "audio"', "'language', 'segmentation' or 'classification'"),
    ("schema_version = 1", "schema_version = 2", "schema_version"),
    ("bits = 8", "bits = -1", "compression.bits"),
    ('name = "stories260k-int8"', 'name = "other"', "the folder is"),
    ('name = "stories260k-int8"', 'name = "../evil"', "name"),
    ('name = "stories260k-int8"', 'name = "tasks"', "reserved"),
    ('kind = "language"\n', "", "key 'kind' is missing"),
    ("seed = 0", "seed = ", "not valid TOML"),
]


@pytest.mark.parametrize(("old", "new", "says"), MUTATIONS)
def test_a_wrong_manifest_is_one_clear_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (FIXTURE / "submission.toml").read_text()
    assert old in text
    folder = write(tmp_path / "stories260k-int8", text.replace(old, new))
    with pytest.raises(InputError) as caught:
        Manifest.load(folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_fingerprint_follows_what_decides_the_answers_and_nothing_else() -> None:
    m = Manifest.load(FIXTURE)
    assert m.model_copy(update={"title": "x", "authors": ("y",)}).fingerprint() == m.fingerprint()
    for change in ({"sha256": "0" * 64}, {"operating_point": {"bits": 4}}, {"format": "transformers"}):
        assert m.model_copy(update=change).fingerprint() != m.fingerprint()
    inputs = m.inputs.model_copy(update={"context": 256})
    assert m.model_copy(update={"inputs": inputs}).fingerprint() != m.fingerprint()
