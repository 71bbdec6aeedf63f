"""Results of other tools become records that say so, and ours leave in formats that others read."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.multitest import multipletests
from support import REPOSITORY, Ran, one_line

from suite.entrants import collect
from suite.exchange import every_eval_ever, flat, harness_json, importing, sheet
from suite.exchange.figure import name_of
from suite.metrics import harness
from suite.store import Store

Hallmark = Callable[..., Ran]
RESULTS = REPOSITORY / "results"
PYTHIA = "evals/pythia-v1/pythia-1.4b-deduped/five-shot/1.4b-deduped-5shot_step143000.json"
SCHEMA = REPOSITORY / "tests" / "fixtures" / "every_eval_ever-0.3.0.eval.schema.json"
OLD = {
    "results": {"piqa": {"acc": 0.7, "acc_stderr": 0.01, "acc_norm": 0.72, "acc_norm_stderr": 0.01}},
    "versions": {"piqa": 0},
    "config": {"model": "hf", "model_args": "pretrained=org/m,revision=step3", "num_fewshot": 5},
}
NEW = {
    "results": {
        "piqa": {"alias": "piqa", "acc,none": 0.75, "acc_stderr,none": 0.25, "acc_norm,none": 0.5,
                 "acc_norm_stderr,none": "N/A"},
        "gsm8k": {"exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.1},
    },
    "n-samples": {"piqa": {"original": 4, "effective": 4}, "gsm8k": {"original": 2, "effective": 2}},
    "n-shot": {"piqa": 0, "gsm8k": 5},
    "versions": {"piqa": 1.0, "gsm8k": 3.0},
    "higher_is_better": {"piqa": {"acc": True, "acc_norm": True}, "gsm8k": {"exact_match": True}},
    "config": {"model": "hf", "model_args": {"pretrained": "org/m"}},
    "date": 1760000000.5,
    "lm_eval_version": "0.4.13",
}  # fmt: skip


def written(folder: Path, name: str, content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def samples(folder: Path, right: list[int], stamp: str = "2026-01-01T00-00-00") -> Path:
    """A new result with samples; the k-th document of piqa is right where `right` holds 1."""
    lines = [{"doc_id": i, "doc": {}, "target": 0, "acc": hit, "acc_norm": hit, "metrics": ["acc", "acc_norm"]}
             for i, hit in enumerate(right)]  # fmt: skip
    written(folder, f"samples_piqa_{stamp}.jsonl", "\n".join(map(json.dumps, lines)))
    share, n = sum(right) / len(right), {"original": len(right), "effective": len(right)}
    content = {**NEW, "results": {"piqa": {"acc,none": share, "acc_norm,none": share}}, "n-samples": {"piqa": n}}
    content["config"] = {"model": "hf", "model_args": f"pretrained=org/{folder.name}"}
    return written(folder, f"results_{stamp}.json", content)


class TestHarness:
    def test_the_old_schema(self, hallmark: Hallmark, tmp_path: Path) -> None:
        record = hallmark("import", written(tmp_path, "old.json", OLD), "--json").json["records"][0]
        assert record["source"] == "imported"
        assert record["manifest"]["name"] == "org-m-step3"
        assert (record["task"], record["protocol"]) == ("lm-eval:piqa@5shot", "lm-eval-0.3/5-shot")
        accuracy, normed = record["measurements"]
        assert (accuracy["name"], normed["name"]) == ("accuracy", "accuracy_norm")
        assert accuracy["low"] == pytest.approx(0.7 - 1.959964 * 0.01, abs=1e-8)
        assert record["outcomes_sha256"] is None

    def test_the_new_schema(self, hallmark: Hallmark, tmp_path: Path) -> None:
        piqa, gsm8k = hallmark("import", written(tmp_path, "new.json", NEW), "--json").json["records"]
        accuracy, normed = piqa["measurements"]
        assert (accuracy["n"], accuracy["higher_is_better"], accuracy["high"]) == (4, True, 1.0)  # clipped: a share
        assert normed["low"] is None
        assert gsm8k["task"] == "lm-eval:gsm8k@5shot"
        assert gsm8k["measurements"][0]["name"] == "exact_match[filter=strict-match]"
        assert piqa["provenance"]["started"].startswith("2025-10-09T")

    def test_twice_is_once(self, hallmark: Hallmark, tmp_path: Path) -> None:
        path = written(tmp_path, "new.json", NEW)
        hallmark("import", path)
        hallmark("import", path)
        assert len(list(Store(tmp_path / "results").scan())) == 2

    def test_samples_become_outcomes(self, hallmark: Hallmark, tmp_path: Path) -> None:
        path = samples(tmp_path / "a", [1, 0, 1, 1])
        record = hallmark("import", path, "--json").json["records"][0]
        table = next(Store(tmp_path / "results").scan()).outcomes()
        assert table.column("lm_eval.acc").to_pylist() == [1.0, 0.0, 1.0, 1.0]
        assert table.column("item").to_pylist() == ["0", "1", "2", "3"]
        assert record["measurements"][0]["value"] == 0.75

    def test_a_folder_pairs_results_with_their_samples(self, hallmark: Hallmark, tmp_path: Path) -> None:
        """As lm-eval writes it: a folder a model, two dates in one of them, and a task whose name begins another's."""
        samples(tmp_path / "out" / "a", [1, 0, 1, 1], "2026-01-01T00-00-00")
        samples(tmp_path / "out" / "a", [0, 0, 1, 1], "2026-01-02T00-00-00")
        samples(tmp_path / "out" / "b", [1, 1, 1, 1])
        written(tmp_path / "out" / "b", "samples_piqa_hard_2026-01-01T00-00-00.jsonl", '{"doc_id": 0, "acc": 0}')
        written(tmp_path / "out", "notes.json", {"a": 1})
        written(tmp_path / "out", "other.json", "{")
        ran = hallmark("import", tmp_path / "out", "--json")
        assert ran.code == 0
        assert [line.split("/")[-1] for line in ran.err.splitlines()] == [
            "other.json is no JSON",
            "samples_piqa_hard_2026-01-01T00-00-00.jsonl: no result of its date beside it",
        ]
        stored = list(Store(tmp_path / "results").scan())
        found = sorted((s.record.manifest.name, s.outcomes().column("lm_eval.acc").to_pylist()) for s in stored)
        assert found == [("org-a", [0, 0, 1, 1]), ("org-a", [1, 0, 1, 1]), ("org-b", [1, 1, 1, 1])]
        assert len(ran.json["records"]) == 3

    def test_several_files_and_folders_each_once(self, hallmark: Hallmark, tmp_path: Path) -> None:
        first, second = samples(tmp_path / "a", [1, 0]), samples(tmp_path / "b", [1, 1])
        old = written(tmp_path, "old.json", OLD)
        named = sorted((tmp_path / "a").glob("samples_*"))
        ran = hallmark("import", tmp_path / "a", first, *named, second, old, old, "--json")
        assert ran.code == 0, ran.err
        assert sorted(r["manifest"]["name"] for r in ran.json["records"]) == ["org-a", "org-b", "org-m-step3"]
        assert "2 of them with items" in hallmark("import", first, second, old).out

    def test_one_bad_file_and_nothing_is_imported(self, hallmark: Hallmark, tmp_path: Path) -> None:
        good = samples(tmp_path / "a", [1, 0])
        cut = written(tmp_path / "b", "results_x.json", json.dumps(NEW)[:100])
        one_line(hallmark("import", good, cut), 2, "b/results_x.json is no JSON")
        one_line(hallmark("import", good, cut.parent), 2, "results_x.json is no JSON (cut off?)")
        one_line(hallmark("import", good, tmp_path / "nothing"), 2, "no file or folder")
        (tmp_path / "empty").mkdir()
        one_line(hallmark("import", good, tmp_path / "empty"), 2, "nothing to import in", "empty")
        alone = written(tmp_path / "c", "samples_piqa_x.jsonl", '{"doc_id": 0, "acc": 1}')
        one_line(hallmark("import", good, alone), 2, "samples_piqa_x.jsonl", "results_<date>.json")
        lines = next((tmp_path / "a").glob("samples_*"))
        lines.write_text(lines.read_text().splitlines()[0])
        one_line(hallmark("import", good), 2, "holds 1 documents, its result says 2", "cut off")
        lines.write_text("{")
        one_line(hallmark("import", good), 2, "line 1 is no sample of lm-eval")
        assert not (tmp_path / "results").exists()

    def test_samples_are_compared_one_by_one(self, hallmark: Hallmark, tmp_path: Path) -> None:
        """Ten of 40 lost and two gained: McNemar of 10 and 2, whatever this installation knows of the task."""
        before = [1] * 30 + [0] * 10
        samples(tmp_path / "a", before)
        samples(tmp_path / "b", [0] * 10 + before[10:38] + [1, 1])
        assert hallmark("import", "a", "b").code == 0
        (one,) = hallmark("compare", "org-a", "org-b", "--all", "--json").json["comparisons"]
        assert one["paired"]
        assert [row["metric"] for row in one["metrics"]] == ["accuracy", "accuracy_norm"]
        row = one["metrics"][0]
        assert (row["test"], row["p"]) == ("exact McNemar", pytest.approx(2 * binom.cdf(2, 12, 0.5)))
        assert row["p_holm"] == row["p"]
        assert (one["flips"]["right_to_wrong"], one["flips"]["wrong_to_right"]) == (10, 2)
        assert one["flips"]["wrong_to_other_wrong"] is None
        assert hallmark("gate", "--init", "--baseline", "org-a").code == 0
        ran = hallmark("gate", "org-b")
        assert ran.code == 1
        assert "FAIL: regressed (accuracy of lm-eval:piqa)" in ran.out
        ranked = collect(Store(tmp_path / "results"), [], [SimpleNamespace(name="lm-eval:piqa")])  # type: ignore[list-item]
        assert ranked.names() == []  # its columns are not those that a task here is ranked by

    def test_numbers_that_the_samples_do_not_give_again_stay_unpaired(self) -> None:
        columns = {
            **{"lm_eval.acc": np.array([1.0, 0.0, 1.0]), "lm_eval.f1": np.array([0.5, 0.25, 0.0])},
            **{"lm_eval.brier_score": np.array(["[1, 2]"] * 3), "lm_eval.exact_match@strict": np.ones(3)},
        }
        reported = {"accuracy": (2 / 3, True), "f1": (0.9, True), "exact_match[filter=strict]": (1.0, True)}
        found = harness.of_samples(columns, {**reported, "brier_score": (0.1, False), "mcc": (0.2, True)})
        assert {name: metric(columns) for name, metric in found.items()} == {
            "accuracy": pytest.approx(2 / 3), "exact_match[filter=strict]": 1.0,
        }  # fmt: skip
        assert found["accuracy"].proportion

    def test_a_score_without_interval_is_no_exact_number(self, hallmark: Hallmark, tmp_path: Path) -> None:
        for name, share in (("a", 0.7), ("b", 0.5)):
            content = {
                **NEW,
                "results": {"piqa": {"acc,none": share}},
                "config": {"model_args": f"pretrained=org/{name}"},
            }
            written(tmp_path, f"{name}.json", content)
        hallmark("import", "a.json", "b.json")
        (one,) = hallmark("compare", "org-a", "org-b", "--json").json["comparisons"]
        row = one["metrics"][0]
        assert (row["verdict"], row["p"], row["p_holm"]) == ("not tested", None, None)
        assert row["difference"]["reason"] == "unpaired, and a side has no interval"

    def test_a_name_is_of_one_model(self, hallmark: Hallmark, tmp_path: Path) -> None:
        first, second = samples(tmp_path / "a", [1, 0]), samples(tmp_path / "b", [1, 1])
        one_line(hallmark("import", first, second, "--name", "mine"), 2, "--name mine", "org/a, org/b")
        assert hallmark("import", first, "--name", "mine", "--json").json["records"][0]["manifest"]["name"] == "mine"

    def test_imported_records_never_count_as_verified(self, hallmark: Hallmark, tmp_path: Path) -> None:
        hallmark("import", written(tmp_path, "new.json", NEW))
        ran = hallmark("verify")
        assert ran.code == 1
        assert "imported, not measured here" in ran.err

    def test_an_archive_is_read_without_unpacking(self, hallmark: Hallmark, tmp_path: Path) -> None:
        path = tmp_path / "x.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in (("../../evil.json", NEW), ("notes.json", {"a": 1}), ("/abs.json", OLD)):
                data = json.dumps(content).encode()
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        assert len(hallmark("import", path, "--json").json["records"]) == 3
        assert not (tmp_path.parent / "evil.json").exists()

    def test_an_adapter_has_its_base_as_parent(self) -> None:
        model = harness_json.model_of({"config": {"model_args": "pretrained=org/m,peft=me/lora"}})
        assert (model.name, model.parent) == ("org-m-me-lora", "org-m")

    def test_the_real_pythia_files(self, mirror: Path) -> None:
        path = mirror / "lb_pythia_evals" / "pythia_v1_evals.tar.gz"
        read = importing.read([path], None, None, pytest.fail)
        assert len(read) == 3128
        assert not any(one.rows for one in read)
        with tarfile.open(path) as archive:
            file = archive.extractfile(PYTHIA)
            assert file is not None
            piqa = json.load(file)["results"]["piqa"]
        mine = [
            one.record for one in read if one.record.manifest.title == "EleutherAI/pythia-v1.1-1.4b-deduped@step143000"
        ]
        found = next(record for record in mine if record.task == "lm-eval:piqa@5shot")
        values = {m.name: m.value for m in found.measurements}
        assert values == {"accuracy": piqa["acc"], "accuracy_norm": piqa["acc_norm"]}

    def test_two_real_pythia_models_are_compared_unpaired(
        self, hallmark: Hallmark, mirror: Path, tmp_path: Path
    ) -> None:
        """By what they state, with Holm over all tasks; without lm-eval."""
        with tarfile.open(mirror / "lb_pythia_evals" / "pythia_v1_evals.tar.gz") as archive:
            of_two = [m for m in archive if re.search(r"/pythia-1\.4b(-deduped)?/.*step143000\.json$", m.name)]
            for number, member in enumerate(of_two):
                file = archive.extractfile(member)
                assert file is not None
                written(tmp_path / "evals", f"{number}.json", file.read().decode())
        assert "of 2 submissions" in hallmark("import", "evals").out
        names = [f"EleutherAI-pythia-v1.1-1.4b{kind}-step143000" for kind in ("-deduped", "")]
        found = hallmark("compare", *names, "--json").json
        assert found["incomparable"] == []
        rows = [one["metrics"][0] for one in found["comparisons"]]
        assert len(rows) > 140
        assert {row["test"] for row in rows} == {"unpaired z"}
        assert [row["p_holm"] for row in rows] == pytest.approx(multipletests([r["p"] for r in rows], method="holm")[1])
        assert all(one["primary"] == one["metrics"][0]["metric"] for one in found["comparisons"])
        assert hallmark("gate", "--init", "--baseline", names[0]).code == 0
        ran = hallmark("gate", names[1])
        assert ran.code == 3
        (loud,) = ran.err.splitlines()  # once, not for every task
        assert re.search(r"\(\d+ tasks\): UNPAIRED", loud)


class TestSheets:
    def test_what_is_exported_can_be_imported(self, hallmark: Hallmark, tmp_path: Path) -> None:
        hallmark("export", "--results", RESULTS, "--out", "all.csv")
        ran = hallmark("import", "all.csv", "--results", "again", "--json")
        assert ran.code == 0, ran.err

        def numbers(root: Path) -> dict[tuple[str, ...], Any]:
            newest = {(s.record.manifest.name, s.record.task): s.record for s in Store(root).scan()}
            return {
                (*key, m.name): (m.value, m.low, m.high, m.unit, m.higher_is_better, m.n)
                for key, record in newest.items() for m in record.measurements if m.value is not None
            }  # fmt: skip

        assert numbers(tmp_path / "again") == numbers(RESULTS)

    def test_parquet_holds_the_same_lines(self, hallmark: Hallmark, tmp_path: Path) -> None:
        import pyarrow.parquet as pq

        hallmark("export", "--results", RESULTS, "--format", "parquet", "--out", "all.parquet", "-t", "digits")
        newest = {s.record.manifest.name: s.record for s in Store(RESULTS).scan(task="digits")}
        key = lambda line: (line["submission"], line["metric"])  # noqa: E731
        found = pq.read_table(tmp_path / "all.parquet").to_pylist()
        assert sorted(found, key=key) == sorted(flat.lines(newest.values()), key=key)
        one_line(hallmark("export", "--results", RESULTS, "--format", "parquet"), 2, "--out FILE")

    def test_a_mapping_with_a_join(self, tmp_path: Path) -> None:
        written(tmp_path, "speed.csv", "model,ms\nnet,2\nother,3\n")
        layout = sheet.Sheet.model_validate(
            {
                "submission": "{model}", "kind": "classification", "task": "t",
                "join": [{"file": "speed.csv", "key": "model", "before": ".", "columns": ["ms"]}],
                "figure": [
                    {"column": "top1", "metric": "accuracy", "scale": 0.01, "higher_is_better": True},
                    {"column": "ms", "metric": "latency_mean_s", "scale": 0.001, "unit": "s"},
                ],
            }
        )  # fmt: skip
        rows = sheet.rows_of("model,top1\nnet.a,50.5 ± 0.5\nlone.b,60\n", "x.csv")
        found = list(sheet.mapped(rows, layout, "x.csv", tmp_path))
        assert [(f.model.name, f.metric, f.value) for f in found] == [
            ("net.a", "accuracy", 0.505), ("net.a", "latency_mean_s", 0.002), ("lone.b", "accuracy", 0.6),
        ]  # fmt: skip
        assert found[0].low == pytest.approx(0.505 - 1.959964 * 0.005)

    def test_the_real_tables(self, hallmark: Hallmark, mirror: Path) -> None:
        tables = mirror / "lb_llm_quant_tables"
        found = hallmark(
            "import", tables / "llamacpp_perplexity_README.md", "--map", "llamacpp-perplexity", "--json"
        ).json["records"]
        by_name = {r["manifest"]["name"]: r for r in found}
        q4 = by_name["llama-3-8b-q4_K_M-imatrix-None"]
        values = {m["name"]: m["value"] for m in q4["measurements"]}
        assert (values["perplexity"], values["kl"]) == (6.407115, 0.031273)
        assert values["bytes"] == pytest.approx(4.58 * 2**30)
        assert q4["manifest"]["parent"] == "llama-3-8b-f16-imatrix-None"
        assert by_name["llama-3-8b-f16-imatrix-None"]["manifest"]["parent"] is None
        timm = mirror / "lb_timm_results" / "results-imagenet.csv"
        assert len(importing.read([timm], "timm-imagenet-speed", None, pytest.fail)) == 1556
        qwen = hallmark("import", tables / "gguf_alg_ext_acc.md", "--map", "auto-round-gguf", "--json").json["records"]
        assert len(qwen) == 70

    @pytest.mark.parametrize(
        "path", sorted((REPOSITORY / "suite" / "exchange" / "maps").iterdir()), ids=lambda p: p.stem
    )
    def test_every_mapping_that_comes_along_is_valid(self, path: Path) -> None:
        assert sheet.mapping(path.stem).figure


class TestEveryEvalEver:
    def test_every_committed_record_is_valid(self) -> None:
        import jsonschema

        schema = json.loads(SCHEMA.read_text())

        validator = jsonschema.Draft7Validator(schema)
        for stored in Store(RESULTS).scan():
            validator.validate(every_eval_ever.evaluation(stored.record))

    def test_imported_ones_too_and_nothing_is_lost(self, hallmark: Hallmark, tmp_path: Path) -> None:
        import jsonschema

        schema = json.loads(SCHEMA.read_text())

        hallmark("import", written(tmp_path, "new.json", NEW))
        evaluations = json.loads(hallmark("export", "--format", "every-eval-ever").out)
        for one in evaluations:
            jsonschema.validate(one, schema)
        assert evaluations[0]["source_metadata"]["source_type"] == "documentation"
        mine = json.loads(hallmark("export", "--results", RESULTS, "--format", "every-eval-ever", "-t", "digits").out)
        child = next(one for one in mine if one["model_info"]["id"] == "embedded-digits-int8")
        assert child["model_info"]["additional_details"]["parent"] == "embedded-digits"
        assert child["model_info"]["additional_details"]["compression.bits"] == "8.0"
        record = next(s.record for s in Store(RESULTS).scan("embedded-digits-int8", "digits"))
        undefined = {k for k in child["source_metadata"]["additional_details"] if k.startswith("undefined.")}
        assert len(child["evaluation_results"]) + len(undefined) == len(record.measurements)


def test_a_model_card_reads_back(hallmark: Hallmark) -> None:
    from huggingface_hub import ModelCard

    out = hallmark("export", "embedded-digits-int8", "--format", "model-index", "--results", RESULTS).out
    card = ModelCard(out)
    value = next(s.record for s in Store(RESULTS).scan("embedded-digits-int8", "digits")).measurement("accuracy").value
    assert [r.metric_value for r in card.data.eval_results if r.metric_type == "accuracy"] == [value]
    assert card.data.base_model == "embedded-digits"
    one_line(hallmark("export", "--format", "model-index", "--results", RESULTS), 2, "name one of")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.json", {"a": 1}, "is no result of lm-eval"),
        ("a.json", {"results": {}, "versions": {}}, "no figure in it"),
        ("a.csv", "submission,task\nx,y\n", "has no column kind, metric, value"),
        ("a.csv", "submission,kind,task,metric,value,valeu\nx,language,t,m,1,2\n", "did you mean 'value'"),
        ("a.csv", "submission,kind,task,metric,value\nx,language,t,m,nan\n", "leave the cell empty"),
        ("a.csv", "submission,kind,task,metric,value\nx,language,t,m,abc\n", "line 2: value is 'abc'"),
        ("a.csv", "submission,kind,task,metric,value\nx,speech,t,m,1\n", "unknown kind"),
        ("a.csv", "submission,kind,task,metric,value\n,language,t,m,1\n", "cannot name a submission"),
        ("a.csv", "submission,kind,task,metric,value\nx,language,t,m,1\nx,language,t,m,2\n", "stands there twice"),
        ("a.csv", "submission,submission,kind,task,metric,value\n", "a column stands there twice"),
        ("a.csv", "submission,kind,task,metric,value\n", "holds no rows"),
        ("a.tar.gz", "no archive", "cannot be read as a tar archive"),
        ("a.exe", "x", "is none of .json"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported(hallmark: Hallmark, tmp_path: Path, name: str, content: Any, words: str) -> None:
    one_line(hallmark("import", written(tmp_path, name, content)), 2, words)
    assert not (tmp_path / "results").exists()


def test_what_else_cannot_be_imported_or_exported(hallmark: Hallmark, tmp_path: Path) -> None:
    table = written(tmp_path, "a.csv", "model,top1\nx,1\n")
    one_line(hallmark("import", table, "--map", "tim"), 2, "unknown mapping 'tim'", ".toml file")
    one_line(hallmark("import", table, "--map", "x.toml"), 2, "no mapping at x.toml")
    one_line(hallmark("import", table, "--map", written(tmp_path, "m.toml", "kind = 3")), 2, "m.toml")
    one_line(hallmark("import", table, "--map", "timm-imagenet"), 2, "names no column")
    one_line(hallmark("import", "nowhere"), 2, "no file or folder at nowhere")
    one_line(hallmark("import", tmp_path / "empty.md"), 2, "no file at")
    one_line(hallmark("export"), 2, "no records under results")
    one_line(hallmark("export", "x", "--results", RESULTS), 2, "no record of submission 'x'")
    one_line(hallmark("export", "-t", "x", "--results", RESULTS), 2, "no record of task 'x'")


def test_names() -> None:
    assert name_of("a b/c@d") == "a-b-c-d"
    assert len(name_of("x" * 300)) == 100
