"""Users' segmentation data: which files make a case, what its labels become, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scan_folders import cube, describe, volumes, write
from support import REPOSITORY

import tasks
from suite.errors import InputError
from tasks import own
from tasks.own import cases, document
from tasks.own.common import Variants
from tasks.own.lazy import now


def loaded(folder: Path, **fields):
    task = own.load(describe(folder, **fields))
    task.fetch()
    return task


def references(task):
    return [now(example.label) for example in task.examples(None)]


def refused(folder: Path, words: str, **fields) -> None:
    with pytest.raises(InputError, match=words) as error:
        loaded(folder, **fields)
    assert "\n" not in str(error.value)


def test_folders_globs_and_patterns_find_the_same(tmp_path):
    volumes(tmp_path)
    tasks_ = [
        loaded(tmp_path, images=images, labels=labels)
        for images, labels in (
            ("images", "labels"),
            ("images/*.nii.gz", "labels/"),
            ("images/{id}.nii*", "l?bels/{id}.nii.gz"),
            ("**/images/{id}.nii.gz", str(tmp_path / "labels")),
            ("./images", "images/../labels"),
        )
    ]
    assert {tuple(e.item for e in task.examples(None)) for task in tasks_} == {("a", "b", "c")}
    example = tasks_[0].examples(None)[0]
    assert example.input.pixels.shape == (1, 6, 7, 8)
    assert example.input.spacing_mm == (1.0, 1.0, 1.0)
    assert np.array_equal(example.label.labels, cube(1).T)


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    volumes(tmp_path)
    (tmp_path / "images" / "._a.nii.gz").write_bytes(b"macOS")
    (tmp_path / "images" / "notes.txt").write_text("x")
    assert len(loaded(tmp_path).examples(None)) == 3


def test_several_patterns_are_channels(tmp_path):
    volumes(tmp_path)
    write(tmp_path / "t2" / "a_0001.nii.gz", np.full((8, 7, 6), 5, np.int16))
    task = loaded(tmp_path, images=["images/{id}.nii.gz", "t2/{id}_0001.nii.gz"], ids=["a"])
    assert task.examples(None)[0].input.pixels[:, 0, 0, 0].tolist() == [0, 5]
    assert task.misfit is not None
    write(tmp_path / "t2" / "a_0001.nii.gz", np.full((8, 7, 6), 5, np.int16), (1, 1, 2))
    refused(tmp_path, "channels must lie on one grid", images=["images", "t2/{id}_0001.nii.gz"], ids=["a"])


def test_values_ignored_and_other_labels(tmp_path):
    labels = np.array([[0, 7, 9, 3]], np.uint8)
    write(tmp_path / "images" / "a.png", labels)
    write(tmp_path / "labels" / "a.png", labels)
    fields = {"label_values": [7], "ignore_label": 9, "tolerance_mm": None}
    refused(tmp_path, "holds label 3; declared: 0, 7, 9", **fields)
    (reference,) = references(loaded(tmp_path, others="background", **fields))
    assert reference.labels.tolist() == [[0, 1, 255, 0]]
    assert reference.spacing_mm is None


def test_one_mask_a_class_with_raters_and_a_field_of_view(tmp_path):
    image = np.zeros((1, 3), np.uint8)
    masks = {"liver": [255, 255, 0], "tumour": [0, 255, 0]}
    write(tmp_path / "a" / "ct.png", image)
    for name, values in masks.items():
        write(tmp_path / "a" / "masks" / f"{name}.png", np.array([values], np.uint8))
        write(tmp_path / "second" / "a" / f"{name}.png", np.array([values[::-1]], np.uint8))
    write(tmp_path / "fov" / "a.png", np.array([[255, 255, 0]], np.uint8))
    task = loaded(
        tmp_path, images="{id}/ct.png", labels="{id}/masks/{class}.png", classes=["liver", "tumour"],
        raters=["second/{id}/{class}.png"], mask="fov", tolerance_mm=None, regions={"all": ["liver", "tumour"]},
    )  # fmt: skip
    (reference,) = references(task)
    assert reference.labels.tolist() == [[1, 2, 255]]
    assert [rater.tolist() for rater in reference.raters] == [[[0, 2, 1]]]


def test_instances_are_kept_and_become_one_class(tmp_path):
    objects = np.array([[0, 1, 1, 300]], np.uint16)
    write(tmp_path / "images" / "a.png", objects)
    write(tmp_path / "labels" / "a.png", objects)
    (reference,) = references(loaded(tmp_path, instances=True, tolerance_mm=None))
    assert reference.instances.tolist() == objects.tolist()
    assert reference.labels.tolist() == [[0, 1, 1, 1]]
    refused(tmp_path, "exactly one class", instances=True, classes=["a", "b"])


def test_clusters_and_groups_come_from_the_table(tmp_path):
    volumes(tmp_path)
    (tmp_path / "t.csv").write_text("image,patient,site,age\na,p1,X,30\nb,p1,,70\nc,p2,Y,\n")
    task = loaded(
        tmp_path, table="t.csv", id="image", cluster="patient", groups=["site", "age"], bands={"age": [40, 65]}
    )
    assert [e.cluster for e in task.examples(None)] == ["p1", "p1", "p2"]
    assert task.examples(None)[1].groups == {"site": "(missing)", "age": ">=65"}
    columns = {"group.site": np.array(["X", "(missing)", "Y"]), "group.age": np.array(["<40", ">=65", "(missing)"])}
    columns |= dict.fromkeys(("predicted", "true", "intersection", "voxels"), np.ones((3, 1), dtype=np.int64))
    names = {metric.name for metric in task.framed.of(columns)}
    assert {"dice[site=X]", "dice[site=(missing)]", "dice[age=<40]", "worst_group_dice[site]"} <= names
    assert task.description()["own"]["groups"]["site"] == {"X": 1, "Y": 1, "(missing)": 1}
    (tmp_path / "t.csv").write_text("image,patient\na,p1\nb,p1\n")
    refused(tmp_path, "no row for 'c'", table="t.csv", id="image", cluster="patient")


def test_where_scores_a_split_and_cluster_from_reads_ids(tmp_path):
    volumes(tmp_path, ("p1_a", "p1_b", "p2_a"))
    (tmp_path / "t.csv").write_text("id,split\np1_a,test\np1_b,test\np2_a,train\n")
    task = loaded(tmp_path, table="t.csv", where={"split": "test"}, cluster_from="^(p[0-9]+)_")
    assert [(e.item, e.cluster) for e in task.examples(None)] == [("p1_a", "p1"), ("p1_b", "p1")]


def test_the_digest_follows_files_and_meaning_but_not_words(tmp_path):
    volumes(tmp_path)
    digest = loaded(tmp_path).data_sha256()
    assert loaded(tmp_path, title="Other words").data_sha256() == digest
    assert loaded(tmp_path, tolerance_mm=2).data_sha256() != digest
    assert loaded(tmp_path, sha256=digest).data_sha256() == digest
    write(tmp_path / "labels" / "a.nii.gz", cube(1, 4))
    assert loaded(tmp_path).data_sha256() != digest
    refused(tmp_path, "expected " + digest, sha256=digest)


def test_a_restored_task_has_the_same_metrics_and_no_data(tmp_path):
    volumes(tmp_path)
    task = loaded(tmp_path)
    module = own._module("segmentation", "")
    facts = dict(task.description()["own"])
    description = module.Description.model_validate(facts.pop("description"))
    again = module.restored(description, facts)
    assert [m.name for m in again.metrics] == [m.name for m in task.metrics]
    assert again.data_sha256() == task.data_sha256()
    assert again.description() == task.description()
    with pytest.raises(InputError, match="give --data"):
        again.fetch()


def test_grids_that_differ_are_refused(tmp_path):
    volumes(tmp_path)
    write(tmp_path / "labels" / "b.nii.gz", cube(), (1, 1, 2))
    refused(tmp_path, "b.nii.gz: the image has spacing")
    write(tmp_path / "labels" / "b.nii.gz", cube()[:-1])
    refused(tmp_path, "b.nii.gz: the image has shape")


def test_what_is_wrong_with_voxels_is_refused(tmp_path):
    volumes(tmp_path)
    write(tmp_path / "labels" / "b.nii.gz", cube(value=4))
    refused(tmp_path, "holds label 4; declared: 0, 1")
    write(tmp_path / "labels" / "b.nii.gz", cube())
    image = cube().astype(np.float32)
    image[0, 0, 0] = np.nan
    write(tmp_path / "images" / "b.nii.gz", image)
    refused(tmp_path, "NaN")
    (tmp_path / "images" / "b.nii.gz").write_bytes(b"broken")
    refused(tmp_path, "not a readable NIfTI")


def test_missing_files_are_refused(tmp_path):
    refused(tmp_path, "no folder")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    refused(tmp_path, "empty data set: no image")
    volumes(tmp_path)
    (tmp_path / "labels" / "b.nii.gz").unlink()
    refused(tmp_path, "no labels of 'b'; add the file, .* unlabelled = 'skip'")
    assert len(loaded(tmp_path, unlabelled="skip").examples(None)) == 2
    refused(tmp_path, "no file for 'z'", ids=["a", "z"])
    refused(tmp_path, "has no file for 'a'", ids=["a"], raters=["images/{id}-none.nii.gz"])
    for path in list((tmp_path / "labels").iterdir()):
        path.rename(path.with_name("seg-" + path.name))
    refused(tmp_path, "give patterns with {id}")


def test_a_tolerance_below_the_spacing_is_refused(tmp_path):
    volumes(tmp_path)
    refused(tmp_path, "below the spacing of .* 1 mm", tolerance_mm=0.5)
    write(tmp_path / "flat" / "a.png", np.zeros((4, 4), np.uint8))
    write(tmp_path / "flat-labels" / "a.png", np.zeros((4, 4), np.uint8))
    flat = {"images": "flat", "labels": "flat-labels"}
    refused(tmp_path, "has no spacing", **flat)
    refused(tmp_path, "has 2 axes", spacing=[1, 1, 1], **flat)
    refused(tmp_path, "tolerance_px", tolerance_mm=None, tolerance_px=0.5, **flat)
    assert loaded(tmp_path, spacing=[0.5, 0.5], **flat).examples(None)[0].input.spacing_mm == (0.5, 0.5)


def test_mixed_channels_are_refused_with_the_way_out(tmp_path):
    for item, values in {"a": np.zeros((4, 4), np.uint8), "b": np.zeros((4, 4, 3), np.uint8)}.items():
        write(tmp_path / "images" / f"{item}.png", values)
        write(tmp_path / "labels" / f"{item}.png", np.zeros((4, 4), np.uint8))
    refused(tmp_path, "colour = 'rgb'", tolerance_mm=None)
    assert loaded(tmp_path, tolerance_mm=None, colour="rgb").examples(None)[0].input.pixels.shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"imagse": "x"}, "unknown key 'imagse'; did you mean 'images'"),
        ({"kind": "segmentatio"}, "did you mean 'segmentation'"),
        ({"kind": None}, "key 'kind' is missing"),
        ({"classes": []}, "classes ="),
        ({"labels": None}, "key 'labels' is missing"),
        ({"label_values": [1, 2]}, "one value a class"),
        ({"ignore_label": 1}, "also the value of a class"),
        ({"tubular": ["vessel"]}, r"tubular names \['vessel'\]"),
        ({"regions": {"all": []}}, "regions.all names nothing"),
        ({"regions": {"organ": ["organ"]}}, "a region has the name of a class"),
        ({"regions": {"a=b": ["organ"]}}, "a region's name may not"),
        ({"regions": {"all": ["organ"]}, "lesions": ["organ"]}, r"lesions names \['organ'\]; allowed: all"),
        ({"tolerance_px": 2}, "not both"),
        ({"normalisation": {"men": [0]}}, "unknown key 'normalisation.men'; did you mean 'mean'"),
        ({"cluster_from": "("}, "not a regular expression"),
        ({"cluster_from": "x"}, "finds nothing in 'a'"),
        ({"table": "absent.csv"}, "no table at"),
        ({"name": "digits"}, "is a task of Hallmark already"),
    ],
)
def test_wrong_descriptions_are_refused(tmp_path, fields, words):
    volumes(tmp_path)
    with pytest.raises(InputError, match=words):
        tasks.load(describe(tmp_path, **fields)).examples(None)


def test_the_example_describes_a_folder(tmp_path):
    path = tmp_path / "segmentation.toml"
    path.write_bytes((REPOSITORY / "tasks/examples/segmentation.toml").read_bytes())
    volumes(tmp_path)
    for item in "abc":
        write(tmp_path / "second-reader" / f"{item}.nii.gz", cube(value=2))
    (tmp_path / "patients.csv").write_text("image,patient,site,sex,age\na,1,X,f,30\nb,1,X,f,31\nc,2,Y,m,80\n")
    task = own.load(path)
    task.fetch()
    assert [len(one.raters) for one in references(task)] == [1, 1, 1]


def test_run_show_and_verify_need_the_data_only_once(tmp_path, hallmark, fake):
    import shutil

    data = volumes(tmp_path / "data")
    model = fake("half", {"fake": "threshold", "level": 0.5}, kind="segmentation")
    ran = hallmark("run", model, "--data", describe(data), "--threads", "1")
    assert ran.code == 0, ran
    shutil.rmtree(data)
    shown = hallmark("show", model, "--json").json["records"][0]
    assert shown["task"] == "my-set"
    assert {m["name"]: m["value"] for m in shown["measurements"]}["dice"] == 1
    verified = hallmark("verify")
    assert (verified.code, verified.err) == (0, ""), verified
    again = hallmark("run", model, "-t", "my-set")
    assert again.code == 2
    assert "give --data" in again.err
    (description,) = (tmp_path / "results" / "tasks").glob("*.json")
    description.unlink()
    assert "not known" in hallmark("verify").err


def test_two_data_sets_of_one_name_are_refused(tmp_path, hallmark, fake):
    path = describe(volumes(tmp_path / "data"))
    model = fake("half", {"fake": "threshold"}, kind="segmentation")
    ran = hallmark("run", model, "--data", path, "--data", path)
    assert ran.code == 2
    assert "same name" in ran.err


def test_cases_are_read_one_by_one(tmp_path, monkeypatch):
    task = loaded(volumes(tmp_path))
    examples = task.examples(None)
    read = []
    monkeypatch.setattr(cases.images, "read_image", lambda *a: read.append(a) or pytest.fail("read too early"))
    assert [e.item for e in examples] == ["a", "b", "c"]
    assert read == []


def test_every_key_is_documented_and_the_page_is_up_to_date():
    """``make docs`` writes it."""
    for model in (*document.KINDS.values(), Variants):
        assert all(field.description for field in model.model_fields.values())
    assert document.text() == document.PAGE.read_text(encoding="utf-8")
