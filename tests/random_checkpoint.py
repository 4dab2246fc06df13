"""A Hugging Face checkpoint of any size with random bf16 weights, and the memory that bringing it in and out takes.

Run as a program: `random_checkpoint.py FOLDER MEGABYTES [SHARD_MEGABYTES]` prints what each direction took, as JSON.
"""

import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np

BF16 = np.dtype(ml_dtypes.bfloat16)


def config_of(megabytes: float):
    """A LLaMA of about that size, its embeddings a fifteenth of it each."""
    from tenfold.model.families.registry import published

    embed = max(128, 128 * round((megabytes / 2000) ** (1 / 3) * 16))
    layers = max(1, round(18 * megabytes / 2000 * (2048 / embed) ** 2))
    small = dict(vocab=16 * embed - 16, embed=embed, heads=embed // 64, kv_heads=0, mlp=embed * 11 // 4, layers=layers, context=256)
    return replace(published()["llama-7b"], **small)


def write_random(folder: Path, megabytes: float) -> Path:
    """The same numbers each time."""
    from tenfold.convert.tensor_files import NewTensor, write_tensors
    from tenfold.convert.weights import Names
    from tenfold.model.families.registry import family_of

    config = config_of(megabytes)
    family, hf = family_of(config)
    some = np.random.default_rng(0).normal(0, 0.02, 2**20 + 7).astype(BF16)
    shapes = Names(config, family.rows(config)).expected_shapes()
    tensors = [NewTensor(name, shape, BF16, partial(np.resize, some[n:], shape)) for n, (name, shape) in enumerate(shapes.items())]
    write_tensors(folder, tensors)
    (folder / "config.json").write_text(json.dumps({"model_type": family.model_type} | hf))
    return folder


def memory(field: str) -> int:
    """Bytes of a line of /proc/self/status, such as VmRSS, what is held, or VmHWM, the most since `forget`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def extra_memory(work) -> dict[str, float]:
    """The most bytes that `work()` held beyond what was held before, and its seconds."""
    before, began = memory("VmRSS"), time.perf_counter()
    Path("/proc/self/clear_refs").write_text("5")  # begins VmHWM anew
    work()
    return {"bytes": memory("VmHWM") - before, "seconds": time.perf_counter() - began}


def main(folder: Path, megabytes: float, shard_megabytes: float) -> None:
    from tenfold.api import export
    from tenfold.convert.tensor_files import open_tensors
    from tenfold.train.imported import import_model

    def both(source: Path, name: str, sizes) -> dict:
        run, out = folder / f"{name}-run", folder / f"{name}-out"
        found = {"import": extra_memory(lambda: import_model(source, run))}
        found["export"] = extra_memory(lambda: export(run, out, shard_bytes=int(sizes * 1e6)))
        found["gguf"] = extra_memory(lambda: export(run, folder / f"{name}.gguf"))
        found["import_gguf"] = extra_memory(lambda: import_model(folder / f"{name}.gguf", folder / f"{name}-again"))
        return found | {"out": str(out)}

    both(write_random(folder / "small", 1), "small", 1)  # what is imported and started once
    source = write_random(folder / "large", megabytes)
    found = both(source, "large", shard_megabytes)
    theirs, ours = open_tensors(source), open_tensors(Path(found["out"]))
    found["same"] = theirs.keys() == ours.keys() and all(
        np.array_equal(tensor.view().view(np.uint16), ours[name].view().view(np.uint16)) for name, tensor in theirs.items()
    )
    bytes = {name: int(np.prod(tensor.shape)) * 2 for name, tensor in theirs.items()}
    shards = [file.stat().st_size for file in Path(found["out"]).glob("*.safetensors")]
    print(json.dumps(found | {"largest": max(bytes.values()), "total": sum(bytes.values()), "shards": len(shards), "shard": max(shards)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
