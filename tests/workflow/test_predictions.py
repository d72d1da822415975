"""Predictions, from an input file to what a user opens."""

from __future__ import annotations

import csv
import json
import shutil

import loopback
import pytest
import torch
from golden_cases import PACKAGED

from lucaflow import open_embeddings

DOWNSTREAM = PACKAGED / "downstream"
PAIRS = "seq_id_a,seq_id_b,seq_type_a,seq_type_b,seq_a,seq_b,label\n"
PROTEIN = "MFLWRKSANGIACNVWHDFVWFSYQATQ"
NEEDED = ("embed", "embed_for_heads", "predict", "predict_and_evaluate", "plan_heads")


def table(workflow, dataset, task, kind=""):
    with (workflow.directory / f"results/{dataset}/predictions/{task}{kind}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def needed(run):
    return {rule: run.jobs[rule] for rule in NEEDED if run.jobs[rule]}


@pytest.fixture
def golden(workflow):
    """A working directory whose configuration names the recorded models and their checkpoint."""
    workflow.config |= {
        "checkpoints": {"directory": "converted", "source": "local", "path": str(DOWNSTREAM)},
        "model": {"llm_version": "lucaone", "llm_step": 5600000},
        "heads": {"source": "local", "path": str(DOWNSTREAM), "llm_truncation_seq_length": 40},
    }
    return workflow


def test_singles_and_pairs_in_one_run_and_what_cannot_be_predicted(workflow):
    """Every record has a row in one of the two tables, but for those that repeat another."""
    workflow.config["input"] = {"empty_sequences": "drop", "duplicate_ids": "first"}
    workflow.write("p.csv", f"id,seq,where\na,MKVLAW,Nucleus\nb,***,Nucleus\na,MKVLAW,Nucleus\nc,{PROTEIN},Secreted\n")
    rows = [
        f"g,p,gene,prot,GCGTCG,{PROTEIN},1",
        f"q,h,prot,gene,{PROTEIN},GCGTCG,0",
        "g,e,gene,prot,GCGTCG,-,1".replace(",-,", ",,"),
        f"g,p,gene,prot,GCGTCG,{PROTEIN},1",
        f"i,i,gene,prot,ATTGTCAGATTA,{PROTEIN},0",
    ]
    workflow.write("pairs.csv", PAIRS + "\n".join(rows) + "\n")
    workflow.datasets(
        {"dataset": "s", "path": "p.csv", "seq_type": "prot", "label_column": "where", "tasks": "MiniProtLoc",
         "seq_column": "seq"},
        {"dataset": "t", "path": "pairs.csv", "kind": "pair", "label_column": "label", "tasks": "MiniCentralDogma"},
    )  # fmt: skip
    run = workflow.run().succeeded()
    assert needed(run) == {"embed": 1, "embed_for_heads": 2, "predict_and_evaluate": 2, "plan_heads": 2}
    assert [(row["seq_id"], row["seq"], row["ground_truth"]) for row in table(workflow, "s", "MiniProtLoc")] == [
        ("a", "MKVLAW", "Nucleus"),
        ("c", PROTEIN, "Secreted"),
    ]
    assert table(workflow, "s", "MiniProtLoc", ".failed") == [
        {"line": "3", "seq_id": "b", "seq": "***", "reason": "no residue in the sequence"}
    ]
    pairs = table(workflow, "t", "MiniCentralDogma")
    assert [(row["seq_id_a"], row["seq_id_b"], row["ground_truth"]) for row in pairs] == [
        ("g", "p", "1"),
        ("i", "i", "0"),
    ]
    failed = table(workflow, "t", "MiniCentralDogma", ".failed")
    assert [(row["line"], row["seq_id_a"], row["reason"]) for row in failed] == [
        ("3", "q", "MiniCentralDogma reads gene and prot, this is prot and gene"),
        ("4", "g", "side b: no residue in the sequence"),
    ]
    predictions = workflow.directory / "results/t/predictions"
    about = json.loads((predictions / "MiniCentralDogma.json").read_text())
    assert (about["predicted"], about["failed"], about["note"]) == (2, 2, "for demonstration")
    metrics = list(csv.DictReader((predictions / "MiniCentralDogma.metrics.tsv").open(), delimiter="\t"))
    assert {row["rows"] for row in metrics} == {"2"}
    assert "results/t/predictions/: 2 of MiniCentralDogma (2 failed, for demonstration)" in run.output
    page = workflow.result("s", "figures/map.html").read_text()
    assert "MiniProtLoc probability" in page, "predictions colour the map"
    workflow.forget()
    assert not workflow.run().succeeded().jobs
    # Predictions that change are drawn again, and nothing is embedded.
    workflow.config["heads"] = {"topk": 2}
    run = workflow.run().succeeded()
    assert needed(run) == {"predict_and_evaluate": 1}
    assert run.jobs["draw_with_labels"] == 1
    workflow.datasets(
        {"dataset": "s", "path": "p.csv", "seq_type": "prot", "label_column": "where", "seq_column": "seq"}
    )
    assert workflow.run().succeeded().jobs == {"draw_with_labels": 1, "summarise": 1}
    assert "MiniProtLoc" not in workflow.result("s", "figures/map.html").read_text()


@pytest.mark.long
def test_what_changes_embeds_and_predicts_that_alone(workflow):
    sequences = {f"p{index}": PROTEIN + "ACDEFGHIKLMNPQRSTVWY"[index] * 9 for index in range(20)}
    workflow.fasta("p.fasta", sequences)
    row = {"dataset": "p", "path": "p.fasta", "seq_type": "prot"}
    workflow.config["compute"] |= {"shard_tokens": 300}
    workflow.datasets(row)
    workflow.run("results/p/records.tsv").succeeded()
    # A task is added: only what it needs is made.
    workflow.datasets({**row, "tasks": "MiniProtLoc"})
    target = "results/p/predictions/MiniProtLoc.csv"
    run = workflow.run(target).succeeded()
    shards = len(list(workflow.directory.glob("results/p/heads/mini-1/*/*.h5")))
    assert shards > 2
    assert needed(run) == {"embed_for_heads": shards, "predict": 1, "plan_heads": 1}
    assert not run.jobs["normalize"]
    before = {line["seq_id"]: line["prob"] for line in table(workflow, "p", "MiniProtLoc")}
    # A record is added: one shard of each kind is computed, and stale ones go.
    workflow.fasta("p.fasta", {**sequences, "new": "MWWWKKLLRRFFY"})
    run = workflow.run(target).succeeded()
    assert run.jobs["embed_for_heads"] <= 2
    files = sorted(path.stem for path in workflow.directory.glob("results/p/heads/mini-1/*/*.h5"))
    (group,) = json.loads((workflow.directory / "results/p/heads/plan.json").read_text())["groups"]
    assert files == sorted(group["shards"])
    after = {line["seq_id"]: line["prob"] for line in table(workflow, "p", "MiniProtLoc")}
    assert set(after) - set(before) == {"new"}
    assert all(float(after[name]) == pytest.approx(float(prob), abs=1e-6) for name, prob in before.items())
    # Of a task with classes the threshold decides nothing, the number of classes listed does.
    workflow.config["heads"] = {"threshold": 0.9, "topk": 2}
    assert needed(workflow.run(target).succeeded()) == {"predict": 1}
    assert list(table(workflow, "p", "MiniProtLoc")[0])[-1] == "top2_labels"
    # With matrices of its own, the dataset needs no others; [CLS] and [SEP] among them do no harm.
    workflow.config |= {"embedding": {"outputs": ["matrix"], "matrix_add_special_token": True}}
    run = workflow.run(target).succeeded()
    assert not run.jobs["embed_for_heads"]
    of_own = {line["seq_id"]: line["top1_prob"] for line in table(workflow, "p", "MiniProtLoc")}
    assert all(float(of_own[name]) == pytest.approx(float(prob), abs=1e-6) for name, prob in after.items())


def test_d11_sequences_are_known_by_what_they_are(golden):
    """A gene and a protein of one id, as recorded under two; LucaOneTasks takes the gene's embedding for both.

    And values are not paired with another sequence of the same id: the input stays refused.
    """
    lines = [f"x,x,gene,prot,GCGTCG,{PROTEIN},0", f"x,q,gene,prot,GCGTCG,{PROTEIN[:12]},1"]
    golden.write("pairs.csv", PAIRS + "\n".join(lines) + "\n")
    golden.datasets({"dataset": "t", "path": "pairs.csv", "kind": "pair", "tasks": "CentralDogma"})
    target = "results/t/predictions/CentralDogma.csv"
    golden.run(target).succeeded()
    before = table(golden, "t", "CentralDogma")
    assert float(before[0]["prob"]) == pytest.approx(0.5334872007369995, abs=1e-6)
    golden.write("pairs.csv", PAIRS + "\n".join([lines[0], lines[1].replace("GCGTCG", "GCGTCC")]) + "\n")
    golden.run().failed("the same id is on line 2 with another sequence")
    golden.config["heads"]["threshold"] = 0.4
    golden.run(target).failed("the same id is on line 2 with another sequence")
    assert table(golden, "t", "CentralDogma") == before


@pytest.mark.long
def test_verify_names_what_is_damaged_and_the_next_run_rebuilds_it(workflow):
    workflow.write("pairs.csv", f"{PAIRS}g,p,gene,prot,GCGTCG,{PROTEIN},1\n")
    workflow.datasets({"dataset": "t", "path": "pairs.csv", "kind": "pair", "tasks": "MiniCentralDogma"})
    workflow.run("verify").failed("these results do not exist yet: results/t/predictions/MiniCentralDogma.json")
    workflow.run().succeeded()
    workflow.run("verify").succeeded()
    (shard,) = workflow.directory.glob("results/t/heads/mini-1/*/*.h5")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    workflow.run("verify").failed(shard.name, "is damaged", "MiniCentralDogma.json: depends on damaged embeddings")
    assert not shard.exists()
    assert needed(workflow.run().succeeded()) == {"embed_for_heads": 1, "predict": 1}
    workflow.run("verify").succeeded()
    predictions = workflow.directory / "results/t/predictions/MiniCentralDogma.csv"
    predictions.write_bytes(predictions.read_bytes().replace(b"GCGTCG", b"GCGTCC"))
    workflow.run("verify").failed("MiniCentralDogma.csv: its content has changed")
    assert not predictions.exists()
    # Embeddings that were removed to make room are nobody's damage, and are made again only where they are needed.
    shard.unlink()
    assert needed(workflow.run().succeeded()) == {"embed_for_heads": 1, "predict": 1}
    shard.unlink()
    workflow.run("verify").succeeded()
    assert not workflow.run().succeeded().jobs


@pytest.mark.long
def test_d30_a_task_is_fetched_by_itself(golden):
    """LucaOne's server has one of the ten; without a connection what was fetched serves."""
    prefix = "/DownstreamTasksTrainedModels/ProtLoc"
    with loopback.serving() as server:
        for kind in ("models", "logs"):
            for path in (DOWNSTREAM / kind / "ProtLoc").rglob("*"):
                if path.is_file():
                    server.files[f"{prefix}/{path.relative_to(DOWNSTREAM)}"] = path.read_bytes()
        golden.config["heads"] = {"llm_truncation_seq_length": 40}
        golden.config["checkpoints"] |= {"server": server.address}
        golden.write("p.csv", f"seq_id,seq\np_mid,{PROTEIN}\n")
        row = {"dataset": "p", "path": "p.csv", "seq_type": "prot"}
        golden.datasets({**row, "tasks": "ProtLoc,ProtStab"})
        golden.run("fetch").failed("ProtStab", "404")
        golden.datasets({**row, "tasks": "ProtLoc"})
        run = golden.run("fetch").succeeded()
        assert not run.jobs["normalize"]
    golden.run("results/p/predictions/ProtLoc.csv").succeeded()
    (found,) = table(golden, "p", "ProtLoc")
    assert float(found["prob"]) == pytest.approx(0.3686104416847229, abs=1e-6)
    assert found["label"] == "protloc_c04"
    fetched = golden.directory / "converted/published/head-ProtLoc-server"
    assert (fetched / "SHA256SUMS").is_file()
    assert not list(fetched.rglob("training_args.bin"))


def test_a_task_that_cannot_be_had(golden):
    """Other reasons are in tests/unit/downstream/test_models.py."""
    golden.fasta("p.fasta", {"a": PROTEIN})
    golden.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot", "tasks": "SupKTax"})
    run = golden.run("--dry-run").failed("p: SupKTax reads gene sequences, not prot")
    assert "Traceback" not in run.output


@pytest.mark.long
def test_a_model_that_cannot_be_had_stops_its_predictions_alone(golden):
    golden.fasta("p.fasta", {"a": PROTEIN})
    golden.config |= {"model": {"llm_version": "mini"}}
    golden.config["checkpoints"] = {"directory": "converted", "source": "local"}
    row = {"dataset": "p", "path": "p.fasta", "seq_type": "prot"}
    golden.datasets({**row, "tasks": "ProtLoc"}, {**row, "dataset": "q"})
    said = "task ProtLoc: its model was trained on embeddings by lucaone-5600000: set checkpoints.path to the directory"
    golden.run("--cores", "1").failed(said)
    assert golden.result("p", "verified.json").is_file()
    assert golden.result("q", "verified.json").is_file()
    golden.config["checkpoints"]["path"] = str(DOWNSTREAM / "predict")
    golden.run().failed("task ProtLoc was trained on embeddings by lucaone-5600000.", "no weights in")


@pytest.mark.long
def test_another_model_at_the_same_place_predicts_anew(golden):
    """Its pooling, of which its weights say nothing, and its labels; a path that is out of reach changes nothing."""
    root = golden.directory / "root"
    for kind in ("models", "logs"):
        shutil.copytree(DOWNSTREAM / kind / "GenusTax", root / kind / "GenusTax")
    golden.config["heads"]["path"] = "root"
    golden.write("g.csv", "seq_id,seq\ng_short,GCGTCG\n")
    golden.datasets({"dataset": "g", "path": "g.csv", "seq_type": "gene", "tasks": "GenusTax"})
    target = "results/g/predictions/GenusTax.csv"
    golden.run(target).succeeded()
    (first,) = table(golden, "g", "GenusTax")
    assert (float(first["prob"]), first["label"]) == (pytest.approx(0.3511226177215576, abs=1e-6), "genustax_c04")
    config = next(root.glob("models/**/config.json"))
    config.write_text(config.read_text().replace('"matrix_pooling_type": "max"', '"matrix_pooling_type": "avg"'))
    labels = next(root.glob("logs/**/label.txt"))
    labels.write_text(labels.read_text().replace("genustax_", "genus "))
    assert needed(golden.run(target).succeeded())["predict"] == 1
    (second,) = table(golden, "g", "GenusTax")
    assert second["label"].startswith("genus c")
    assert second["prob"] != first["prob"]
    root.rename(golden.directory / "elsewhere")
    assert not golden.run(target).succeeded().jobs
    # Training leaves what it found best beside the steps.
    (step,) = (golden.directory / "elsewhere").glob("models/GenusTax/*/*/*/*/*/checkpoint-*")
    step.with_name("checkpoint-24500").rename(step.with_name("best"))
    shutil.copytree(step.with_name("best"), step.with_name("checkpoint-7"))
    (golden.directory / "elsewhere").rename(root)
    golden.run("--dry-run").succeeded()


@pytest.mark.long
def test_labels_of_metadata_are_truths_only_where_they_are_classes(workflow):
    """Another table of metadata reads the sequences again, but embeds none."""
    workflow.write("p.fasta", f">sp|P1|A\nMKVLAW\n>P2\n{PROTEIN}\n>P3\nMKVLAWW\n")
    workflow.write("m.tsv", "Entry\tplace\tfamily\nP1\tNucleus\tRibosomal S2\nP2\tnowhere\tkinase\n")
    one = {"path": "p.fasta", "seq_type": "prot", "metadata": "m.tsv", "tasks": "MiniProtLoc"}
    workflow.datasets(
        {"dataset": "a", **one, "label_column": "place"}, {"dataset": "b", **one, "label_column": "family"}
    )
    run = workflow.run().succeeded()
    assert "metadata from m.tsv for 2 of 3 records; listed in metadata.problems.tsv" in run.output
    assert [row["ground_truth"] for row in table(workflow, "a", "MiniProtLoc")] == ["Nucleus", "", ""]
    assert "ground_truth" not in table(workflow, "b", "MiniProtLoc")[0]
    folder = workflow.directory / "results/b/predictions"
    assert (folder / "MiniProtLoc.metrics.tsv").read_text().split("\n")[1:] == [""]
    assert "no label in family is among" in (folder / "MiniProtLoc.metrics.html").read_text()
    workflow.write("m.tsv", "Entry\tplace\tfamily\nP1\tNucleus\tRibosomal S2\nP2\tSecreted\tkinase\n")
    run = workflow.run().succeeded()
    assert needed(run) == {"predict_and_evaluate": 1}, "the labels of the other dataset are the same"
    assert run.jobs["normalize"] == 2
    assert [row["ground_truth"] for row in table(workflow, "a", "MiniProtLoc")] == ["Nucleus", "Secreted", ""]
    assert workflow.run().succeeded().jobs.total() == 0


def test_without_outputs_a_dataset_is_embedded_for_its_tasks_alone(workflow):
    """It has no folder of its model, and verify and the summary know that."""
    workflow.fasta("p.fasta", {"a": PROTEIN, "b": "MKVLAW"})
    workflow.config["embedding"] = {"outputs": []}
    row = {"path": "p.fasta", "seq_type": "prot"}
    workflow.datasets({"dataset": "p", **row, "tasks": "MiniProtLoc"}, {"dataset": "q", **row})
    estimated = workflow.run("--", "estimate").succeeded()
    assert ", for downstream models: 2 of 2 sequences to compute" in estimated.output
    assert "dataset q: it is only read and checked" in estimated.output
    run = workflow.run().succeeded()
    assert needed(run) == {"embed_for_heads": 1, "predict": 1}
    folder = workflow.directory / "results"
    assert {path.name for path in (folder / "p").iterdir() if path.is_dir()} == {
        "heads", "predictions", "receipts", "sequences",
    }  # fmt: skip
    assert {path.name for path in (folder / "q").iterdir() if path.is_dir()} == {"receipts", "sequences"}
    workflow.run("--", "verify").succeeded()
    assert workflow.run().succeeded().jobs.total() == 0
    workflow.config |= {"export": ["npy"], "figures": {"tsne": True}}
    said = workflow.run("--dry-run").failed("export: nothing is stored", "figures.tsne: a map needs").output
    assert "Traceback" not in said


def test_embeddings_that_another_program_made(workflow):
    """LucaOneApp's files give the predictions of our own embeddings, without any encoder; content decides what runs."""
    sequences = {"a": "MKVLAW", "b": PROTEIN, "c": "MKVLAWW", "d": "MACDEFGH"}
    workflow.fasta("p.fasta", {"sp|P1|A x": sequences["a"], **{name: sequences[name] for name in "bcd"}})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot", "tasks": "MiniProtLoc"})
    workflow.config["embedding"] = {"outputs": ["matrix"], "matrix_add_special_token": True}
    workflow.run().succeeded()
    usual = (workflow.directory / "results/p/predictions/MiniProtLoc.csv").read_bytes()
    folder = workflow.directory / "theirs"
    folder.mkdir()
    with open_embeddings(workflow.result("p", "embeddings.h5")) as embeddings:
        for identifier, name in zip(embeddings.ids, ("sp_P1_Ax", "b", "c", "d"), strict=True):
            matrix = embeddings.matrix(identifier)
            # As LucaOneApp writes it by default, and as it does with special tokens or `save_type: tensor`.
            saved = {"b": matrix, "c": torch.from_numpy(matrix)}.get(name, matrix[1:-1])
            torch.save(saved, folder / f"matrix_{name}.pt")
    workflow.config |= {"embedding": {"outputs": []}, "heads": {"embeddings": "theirs"}}
    workflow.config["checkpoints"] = {"directory": "converted"}
    shutil.rmtree(workflow.directory / "results")
    run = workflow.run().succeeded()
    assert "p: its tasks read embeddings from theirs, made elsewhere; nothing is embedded for them." in run.output
    assert needed(run) == {"predict": 1, "plan_heads": 1}
    converted = {path.name.partition("-packaged")[0] for path in (workflow.directory / "converted").iterdir()}
    assert converted == {"head-MiniProtLoc"}
    note = "embeddings from theirs, made elsewhere, not checked"
    assert f"results/p/predictions/: 4 of MiniProtLoc (for demonstration, {note})" in run.output
    results = workflow.directory / "results"
    assert (results / "p/predictions/MiniProtLoc.csv").read_bytes() == usual
    assert note in (results / "summary.tsv").read_text()
    assert note in (results / "p/predictions/MiniProtLoc.html").read_text()
    assert "mini-1 by the configuration, from theirs: made elsewhere" in (results / "p/run.html").read_text()
    # A shortened matrix, one that is gone, and one that has nothing to do with the dataset.
    torch.save(torch.zeros(3, 128), folder / "matrix_b.pt")
    (folder / "matrix_d.pt").unlink()
    torch.save(torch.zeros(3, 128), folder / "matrix_other.pt")
    run = workflow.run().succeeded()
    assert {rule: count for rule, count in run.jobs.items() if count} == {"predict": 1, "summarise": 1}
    assert "p: 2 of 4 sequences have no usable matrix; their records are in MiniProtLoc.failed.csv." in run.output
    assert [row["seq_id"] for row in table(workflow, "p", "MiniProtLoc")] == ["sp|P1|A", "c"]
    assert [(row["seq_id"], row["reason"]) for row in table(workflow, "p", "MiniProtLoc", ".failed")] == [
        ("b", "theirs/matrix_b.pt has 3 rows, expected 28, or 30 with [CLS] and [SEP]: the sequence was shortened, as "
              "LucaOneApp does without a word where memory is short, or it is another one. Embed it again"),
        ("d", "there is no matrix_d.pt in theirs"),
    ]  # fmt: skip
