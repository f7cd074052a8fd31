from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_models import HubCache

from tanya import __main__ as command_line
from tanya import hub, models, network
from tanya.errors import InvalidArgument, ModelInvalid, ModelMismatch, ModelUnavailable
from tanya.modeldir import weights_digest
from tanya.packed import WORDS
from tanya.reading import Request
from tanya.unpickling import convert

SBERT = "naufalihsan/indonesian-sbert-large"
QUESTION = "berapa hari cuti tahunan?"
PASSAGE = "karyawan tetap: cuti tahunan dua belas hari."


@pytest.fixture
def offline() -> None:
    models.set_offline(True)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that refuses connections, on this machine."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


def pickled(directory: Path, target: Path) -> Path:
    """Copy a model, with its weights in a pickle file as older libraries wrote them."""
    import torch
    from safetensors.torch import load_file

    shutil.copytree(directory, target)
    torch.save(load_file(target / "model.safetensors"), target / "pytorch_model.bin")
    (target / "model.safetensors").unlink()
    return target


# Names ------------------------------------------------------------------------------------------


def test_presets_name_both_models() -> None:
    assert list(models.PRESETS) == ["compact", "indonesian", "english"]
    pair = models.preset("indonesian")
    assert (pair.embedder.id, pair.reader.id) == (SBERT, "Rifky/Indobert-QA")
    with pytest.raises(InvalidArgument, match="no preset 'kecil'"):
        models.preset("kecil")


def test_a_directory_wins_over_a_hub_id(
    tiny_embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_embedder, tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    assert models.spec("org/name", "embedder").sources[0] == "directory"
    assert models.spec("org/other", "embedder").sources[-1] == "hub"


@pytest.mark.parametrize(
    "path", ["./nowhere", "../a", "/no/where", "~/nowhere", "a/b/c", "C:\\models", "model\\x"]
)
def test_a_path_that_is_not_there_is_never_looked_up_on_the_hub(path: str) -> None:
    with pytest.raises(InvalidArgument, match="no directory"):
        models.spec(path, "embedder")


@pytest.mark.parametrize("name", ["", "a b", "org/na me", "org/nämë", "org/", "hub.co/a?b"])
def test_what_is_no_name_is_an_error(name: str) -> None:
    with pytest.raises(InvalidArgument):
        models.spec(name, "reader")


@pytest.mark.parametrize(
    ("name", "question", "passage"),
    [
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("LazarusNLP/all-indo-e5-small-v4", "query: ", "passage: "),
        ("intfloat/e5-base-v2", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large-instruct", models._E5_INSTRUCTION, ""),
        ("BAAI/bge-m3", "", ""),
        ("someone/re5ponse", "", ""),
    ],
)
def test_the_e5_family_gets_its_prompts(name: str, question: str, passage: str) -> None:
    known = models.spec(name, "embedder")
    assert (known.question_prompt, known.passage_prompt) == (question, passage)


# Sources ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_sockets")
def test_the_indonesian_pair_runs_from_a_hub_cache(indonesian: HubCache) -> None:
    embedder = models.load_embedder("indonesian")
    assert embedder.fingerprint.model == SBERT
    assert embedder.fingerprint.question_prompt == ""
    vectors = embedder.encode_passages([PASSAGE, "apa"])
    assert vectors.shape == (2, 32)
    reader = models.load_reader("indonesian", embedder)
    assert reader.settings.id == "Rifky/Indobert-QA"
    assert reader.settings.null_trained is False
    spans = reader.read([Request(QUESTION, (PASSAGE,))])[0]
    assert all(0 <= span.start < span.end <= len(PASSAGE) for span in spans)
    assert models.resolve("indonesian", "embedder").source == "hub cache"


def test_offline_and_online_give_the_same(indonesian: HubCache, no_hub: None) -> None:
    online = models.load_embedder(SBERT).encode([PASSAGE])
    models.forget()
    models.set_offline(True)
    np.testing.assert_array_equal(models.load_embedder(SBERT).encode([PASSAGE]), online)


def test_the_environment_names_the_hub_cache(indonesian: HubCache, tmp_path: Path) -> None:
    script = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit(f'network used: {a}')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from tanya import models\n"
        "embedder = models.load_embedder('indonesian')\n"
        "print(embedder.encode(['cuti']).shape, models.load_reader('indonesian', embedder) and 1)\n"
    )
    environment = {
        **os.environ,
        "HF_HOME": str(indonesian.home),
        "PYTHONPATH": str(Path(models.__file__).parents[1]),
    }
    environment.pop("HF_HUB_CACHE", None)
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (run.stdout, run.stderr) == ("(1, 32) 1\n", "")


def test_an_unavailable_model_names_all_that_was_tried(hub_cache: HubCache, no_hub: None) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        models.load_embedder("nobody/nothing")
    tried = caught.value.details["tried"]
    assert isinstance(tried, list)
    assert [reason.partition(":")[0] for reason in tried] == ["hub cache", "converted", "hub"]
    assert "cannot be reached" in tried[-1]
    assert all(reason in str(caught.value) for reason in tried)
    assert "name its directory" in caught.value.hint


@pytest.mark.usefixtures("no_sockets", "offline")
def test_offline_the_hub_is_not_asked(hub_cache: HubCache) -> None:
    with pytest.raises(ModelUnavailable, match="hub: the network is forbidden") as caught:
        models.load_reader("Rifky/Indobert-QA")
    assert "Allow the network once" in caught.value.hint


@pytest.mark.parametrize("name", ["TANYA_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_the_environment_forbids_for_good(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in network._FORBIDDING:
        monkeypatch.delenv(other, raising=False)
    assert not models.is_offline()
    monkeypatch.setenv(name, "1")
    models.set_offline(False)
    assert models.is_offline()
    monkeypatch.setenv(name, "0")
    assert not models.is_offline()


def test_set_offline_tells_what_was_before() -> None:
    assert models.set_offline(True) is False
    assert models.set_offline(False) is True


@pytest.mark.usefixtures("offline")
def test_half_a_download_is_not_a_model(hub_cache: HubCache, tiny_embedder: Path) -> None:
    snapshot = hub_cache.add(SBERT, tiny_embedder)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"incomplete in the hub cache.*no weights"):
        models.resolve(SBERT, "embedder")


@pytest.mark.usefixtures("offline")
def test_pooling_is_not_guessed_from_a_partial_cache(
    hub_cache: HubCache, tiny_embedder: Path
) -> None:
    snapshot = hub_cache.add(SBERT, tiny_embedder)
    (snapshot / "modules.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"modules\.json was never fetched"):
        models.resolve(SBERT, "embedder")
    # The hub's client notes down what the hub itself does not have.
    absent = snapshot.parents[1] / ".no_exist" / snapshot.name / "modules.json"
    absent.parent.mkdir(parents=True)
    absent.touch()
    assert models.resolve(SBERT, "embedder").directory == snapshot


def test_the_wanted_digest_chooses_the_source(
    indonesian: HubCache, own_cache: Path, tiny_embedder: Path
) -> None:
    copy = own_cache / "models" / SBERT.replace("/", "--")
    shutil.copytree(tiny_embedder, copy)
    words = (copy / "tokenizer.json").read_text(encoding="utf-8")
    (copy / "tokenizer.json").write_text(words + " ", encoding="utf-8")
    wanted = weights_digest(copy)
    assert models.resolve(SBERT, "embedder").source == "hub cache"
    assert models.resolve(SBERT, "embedder", sha256=wanted).directory == copy
    assert models.load_embedder(SBERT, sha256=wanted).fingerprint.sha256 == wanted


@pytest.mark.usefixtures("offline")
def test_other_weights_are_a_mismatch(indonesian: HubCache) -> None:
    with pytest.raises(ModelMismatch, match="other weights") as caught:
        models.load_embedder("indonesian", sha256="f" * 64)
    assert caught.value.details["wanted"] == "f" * 64


# Directories ------------------------------------------------------------------------------------


def test_custom_models_load_by_directory(
    own_cache: Path, tiny_embedder: Path, tiny_reader: Path
) -> None:
    embedder = models.load_embedder(tiny_embedder, question_prompt="apa: ")
    assert embedder.fingerprint.model == tiny_embedder.as_posix()
    assert embedder.fingerprint.question_prompt == "apa: "
    reader = models.load_reader(str(tiny_reader), embedder)
    assert reader.settings.null_trained is False
    assert reader.read([Request(QUESTION, (PASSAGE,))])[0]


def test_a_models_own_prompts_win(own_cache: Path, tiny_embedder: Path, tmp_path: Path) -> None:
    directory = tmp_path / "tiny-e5"
    shutil.copytree(tiny_embedder, directory)
    assert models.load_embedder(directory).fingerprint.question_prompt == "query: "
    (directory / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "tanya: ", "document": "isi: "}}), encoding="utf-8"
    )
    own = models.load_embedder(directory).fingerprint
    assert (own.question_prompt, own.passage_prompt) == ("tanya: ", "isi: ")


def test_an_embedder_is_not_a_reader(own_cache: Path, tiny_embedder: Path) -> None:
    with pytest.raises(ModelInvalid, match="no span head"):
        models.load_reader(tiny_embedder)


def test_an_empty_directory_is_not_a_model(own_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"no config\.json"):
        models.load_embedder(tmp_path)


def test_modules_outside_of_the_model_are_refused(
    own_cache: Path, tiny_embedder: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(tiny_embedder, directory)
    entry = [{"idx": 0, "name": "0", "path": "../../etc", "type": "x.Transformer"}]
    (directory / "modules.json").write_text(json.dumps(entry), encoding="utf-8")
    with pytest.raises(ModelInvalid, match="outside of the model"):
        models.load_embedder(directory)


def test_code_in_a_model_is_not_run(own_cache: Path, tiny_embedder: Path, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(tiny_embedder, directory)
    (directory / "evil.py").write_text("raise SystemExit('run')", encoding="utf-8")
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "evil", "auto_map": {"AutoModel": "evil.Evil"}}
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelInvalid, match="cannot be loaded"):
        models.load_embedder(directory)


# Pickles ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("offline")
def test_pickled_weights_are_refused_until_converted(
    hub_cache: HubCache, tiny_embedder: Path, tmp_path: Path
) -> None:
    hub_cache.add(SBERT, pickled(tiny_embedder, tmp_path / "old"))
    with pytest.raises(ModelInvalid, match=r"pytorch_model\.bin") as caught:
        models.load_embedder("indonesian")
    assert f"python -m tanya convert {SBERT}" in caught.value.hint
    assert len(caught.value.details["tried"]) == 3

    directory = convert(SBERT)
    assert not list(directory.rglob("*.bin"))
    embedder = models.load_embedder("indonesian")
    assert models.resolve("indonesian", "embedder").source == "converted"
    np.testing.assert_array_equal(
        embedder.encode([PASSAGE]), models.load_embedder(tiny_embedder).encode([PASSAGE])
    )


def test_a_pickled_directory_can_be_converted(
    own_cache: Path, tiny_reader: Path, tmp_path: Path
) -> None:
    old = pickled(tiny_reader, tmp_path / "old reader")
    with pytest.raises(ModelInvalid, match="can run any code"):
        models.load_reader(old)
    assert convert(str(old)) == convert(str(old))
    assert models.load_reader(old).read([Request(QUESTION, (PASSAGE,))])[0]


class Bomb:
    """What a hostile pickle does when it is opened."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


def test_a_hostile_pickle_does_not_go_off(
    own_cache: Path, tiny_reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old = pickled(tiny_reader, tmp_path / "old")
    (old / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Bomb()}, protocol=2))
    with pytest.raises(ModelInvalid, match="something else than tensors"):
        convert(str(old))
    assert not (tmp_path / "exploded").exists()
    assert list((own_cache / "models").glob("*")) == []


def test_there_must_be_something_to_convert(own_cache: Path, tiny_reader: Path) -> None:
    with pytest.raises(InvalidArgument, match="to convert"):
        convert(str(tiny_reader))


def test_a_pickle_on_the_hub_is_not_downloaded(
    hub_cache: HubCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

    files = [{"rfilename": name} for name in ("config.json", "pytorch_model.bin")]
    facts = ModelInfo(id=SBERT, siblings=files)
    monkeypatch.setattr(HfApi, "model_info", lambda self, model, timeout: facts)
    with pytest.raises(ModelInvalid, match="no safetensors weights on the hub"):
        hub.download(SBERT)


# Memory -----------------------------------------------------------------------------------------


def test_a_model_is_loaded_once(indonesian: HubCache) -> None:
    embedder = models.load_embedder("indonesian")
    assert models.load_embedder(SBERT) is embedder
    assert models.load_reader("indonesian") is models.load_reader("indonesian", embedder)
    assert models.load_embedder(SBERT, question_prompt="apa: ") is not embedder
    models.forget()
    assert models.load_embedder(SBERT) is not embedder


def test_the_least_recently_used_model_goes_first() -> None:
    kept = models._LoadedModels(2)
    for name in ("a", "b", "a", "c"):
        kept.get((name,), lambda name=name: f"first {name}")
    assert kept.get(("a",), lambda: "second a") == "first a"
    assert kept.get(("b",), lambda: "second b") == "second b"


@pytest.mark.usefixtures("compact", "no_sockets")
def test_the_compact_reader_shares_the_embedders_memory() -> None:
    models.forget()
    embedder = models.load_embedder("compact")
    reader = models.load_reader("compact", embedder)
    assert reader.settings.null_trained
    table = embedder.encoder.weights[WORDS]
    assert reader._model.packed.words.data_ptr() == table.data_ptr()
    assert reader._tokenizer is embedder.tokenizer
    spans = reader.read([Request("Berapa hari cuti tahunan?", ("Cuti tahunan: 12 hari.",))])[0]
    assert spans


@pytest.mark.usefixtures("compact")
def test_the_compact_reader_works_on_a_directory_of_its_model(tmp_path: Path) -> None:
    directory = tmp_path / "multilingual-e5-small"
    directory.mkdir()
    for file in models.resolve("compact", "embedder").directory.iterdir():
        (directory / file.name).symlink_to(file)
    embedder = models.load_embedder(directory)
    assert embedder.fingerprint.model == directory.resolve().as_posix()
    assert models.load_reader("compact", embedder)._tokenizer is embedder.tokenizer


def test_loading_is_silent_and_leaves_settings_alone(
    indonesian: HubCache, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    before = (logging.get_verbosity(), logging.is_progress_bar_enabled())
    models.load_embedder("indonesian")
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


# Catalogue --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_sockets")
def test_the_catalogue_says_what_is_here(indonesian: HubCache) -> None:
    rows = {(row.preset, row.role): row for row in models.catalogue()}
    assert len(rows) == 6
    assert rows["indonesian", "embedder"].status == "installed"
    assert rows["indonesian", "reader"].source == "hub cache"
    assert rows["english", "embedder"].status == "to download"
    assert rows["english", "embedder"].size_mb > 50
    assert rows["compact", "embedder"].status == "to download"
    assert rows["compact", "reader"].size_mb == 0
    assert 70 < rows["compact", "reader"].card["f1"] < 100


@pytest.mark.usefixtures("offline")
def test_installing_what_is_here_needs_no_network(indonesian: HubCache) -> None:
    seen: list[tuple[str, int, int]] = []
    rows = models.install("indonesian", lambda *facts: seen.append(facts))
    assert [row.status for row in rows] == ["installed", "installed"]
    assert seen == [("install", 0, 2), ("install", 1, 2), ("install", 2, 2)]


@pytest.mark.usefixtures("offline")
def test_the_command_line(indonesian: HubCache, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["install", "indonesian"]) == 0
    assert capsys.readouterr().out.count("installed (hub cache)") == 2
    assert command_line.main(["models"]) == 0
    assert "to download (498 MB)" in capsys.readouterr().out
    assert command_line.main(["install", "english"]) == 1
    assert "Error (model_unavailable)" in capsys.readouterr().err
