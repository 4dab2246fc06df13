"""`tenfold convert import`: a run directory of a model of others, whole or absent."""

import json
import shutil
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tenfold
from tenfold.cli import main
from tenfold.convert.gguf_model import open_gguf, save_gguf
from tenfold.convert.hub import hub_name
from tenfold.convert.hugging_face import open_checkpoint
from tenfold.errors import UserError
from tenfold.report.page import report
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.train import stored
from tenfold.train.imported import import_model
from tenfold.train.recipe import load_recipe
from tenfold.train.start import open_start
from tiny_checkpoint import GOLDEN, tiny_finetune, write_checkpoint

BF16 = np.dtype(ml_dtypes.bfloat16)


@pytest.fixture
def source(tmp_path) -> Path:
    return write_checkpoint(tmp_path / "source")


def only(tmp_path, *names: str) -> bool:
    return sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_every_command_takes_what_was_imported(source, tmp_path, capsys):
    """It generates as its source does, is trained further, reported on, and written for others again."""
    out = tmp_path / "run"
    with pytest.raises(SystemExit, match="0"):
        main(["convert", "import", str(source), str(out)])
    assert capsys.readouterr().out.strip() == str(out)
    recipe, result = load_recipe(out / "recipe.yaml"), json.loads((out / "result.json").read_text())
    assert recipe.model == open_checkpoint(source).config and recipe.data.tokenizer == str(out / "tokenizer")
    assert result["command"] == "import" and result["source"] == str(source) and result["parameters"] > 0
    ours, theirs = tenfold.load(out), tenfold.load(source)
    jax.tree.map(np.testing.assert_array_equal, ours.params, theirs.params)
    assert ours.generate("alpha beta", max_tokens=4, temperature=0.0) == theirs.generate("alpha beta", max_tokens=4, temperature=0.0)
    with pytest.raises(SystemExit, match="0"):
        main(["convert", "export", str(out), str(tmp_path / "again"), "--shard-gb", "0.00001"])
    tensors = {name: array for file in (tmp_path / "again").glob("*.safetensors") for name, array in load_file(file).items()}
    assert len(list((tmp_path / "again").glob("*.safetensors"))) > 2
    for name, array in load_file(source / "model.safetensors").items():
        np.testing.assert_array_equal(tensors.pop(name), array, err_msg=name)
    assert not tensors
    start = open_start(tiny_finetune(out, tmp_path))
    jax.tree.map(np.testing.assert_array_equal, start.params(make_mesh(MeshConfig(), jax.devices()[:1])), theirs.params)
    assert start.tokenizer_path == out / "tokenizer" and start.fingerprint() and report([out]).exists()


@pytest.mark.parametrize("family", ["bert", "t5", "mixtral"])
def test_families_that_learn_otherwise(family, tmp_path):
    run = import_model(GOLDEN / family, tmp_path / "run")
    assert run.recipe.train.objective == {"bert": "masked", "t5": "span"}.get(family, "causal")
    jax.tree.map(np.testing.assert_array_equal, tenfold.load(run.path).params, tenfold.load(GOLDEN / family).params)


@pytest.mark.parametrize("dtype, kept", [("source", BF16), ("float32", np.dtype("f4")), ("float16", np.dtype("f2"))])
def test_weights_keep_their_type_or_take_the_one_asked_for(dtype, kept, tmp_path):
    shutil.copytree(GOLDEN / "gpt2", tmp_path / "gpt2")
    file = tmp_path / "gpt2" / "model.safetensors"
    save_file({name: array.astype(BF16) for name, array in load_file(file).items()}, file)
    run = import_model(tmp_path / "gpt2", tmp_path / "run", dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(stored.stored_params(run.path, run.recipe.model)[0])} == {kept}
    found, wanted = tenfold.load(run.path).params, tenfold.load(tmp_path / "gpt2").params
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.asarray(b).astype(kept).astype("f4")), found, wanted)


@pytest.mark.parametrize("dtype", ["F16", "Q8_0"])
def test_a_gguf_is_imported_with_its_template(dtype, tmp_path, source):
    model = tenfold.load(write_checkpoint(tmp_path / "gpt2", "gpt2"))
    path = save_gguf(tmp_path / "model.gguf", model.config, model.params, None, dtype)
    run = import_model(path, tmp_path / "run")
    one = make_mesh(MeshConfig(), jax.devices()[:1])
    jax.tree.map(np.testing.assert_array_equal, tenfold.load(run.path).params, open_gguf(path).params(one))
    leaves = jax.tree.leaves(stored.stored_params(run.path, run.recipe.model)[0])
    assert {str(leaf.dtype) for leaf in leaves} == {"float16", "float32"}
    (run.path / "chat_template.jinja").write_text("{{ messages }}")
    assert tenfold.load(run.path).chat_template == "{{ messages }}"


def cut_short(source: Path) -> str:
    file = source / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    return "model.safetensors is .* cut short or damaged"


def renamed(source: Path) -> str:
    tensors = load_file(source / "model.safetensors")
    tensors["model.norms.weight"] = tensors.pop("model.norm.weight")
    save_file(tensors, source / "model.safetensors")
    return r"'model.norm.weight' is missing \(our final_norm.scale\)\n.*'model.norms.weight' is not part"


def pickled(source: Path) -> str:
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    return "pytorch_model.bin, a pickle"


@pytest.mark.parametrize("damage", [cut_short, renamed, pickled])
def test_what_is_damaged_is_refused_before_anything_is_written(damage, source, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "_write_leaf", None)
    with pytest.raises(UserError, match=damage(source)):
        import_model(source, tmp_path / "run")
    assert only(tmp_path, "source")


@pytest.mark.parametrize("error, raised", [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left on device"), UserError)])
def test_an_import_that_ends_early_leaves_nothing(error, raised, source, tmp_path, monkeypatch):
    """Stopped by hand, or by a full disk, after some weights are written."""
    write, written = stored._write_leaf, []

    def failing(path, *rest):
        if len(written) == 3:
            raise error
        written.append(path)
        write(path, *rest)

    monkeypatch.setattr(stored, "_write_leaf", failing)
    with pytest.raises(raised, match="No space left" if raised is UserError else None):
        import_model(source, tmp_path / "run")
    assert len(written) == 3 and only(tmp_path, "source")


def test_nothing_is_written_over(source, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="run is there already"):
        import_model(source, tmp_path / "run")


def test_names_of_the_hub(tmp_path, monkeypatch):
    """Without a network the message says what to do; a path that is meant as one stays one."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    assert hub_name("hf:gpt2") == "gpt2" and hub_name("openai-community/gpt2") == "openai-community/gpt2"
    assert hub_name("models/gpt2") is None and hub_name("./a/b") is None and hub_name("a/b.gguf") is None
    hub = pytest.importorskip("huggingface_hub")

    def offline(name, **_):
        raise OSError("no route")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(UserError, match="a/b could not be fetched from the hub: no route\n.*name the directory"):
        import_model("hf:a/b", tmp_path / "run")
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **_: str(GOLDEN / "gpt2"))
    assert import_model("hf:a/b", tmp_path / "run").recipe.notes == "Imported from hf:a/b."
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install"):
        import_model("hf:a/b", tmp_path / "other")
