"""Low-rank adapters in the form of the PEFT library: adapter_config.json and adapter_model.safetensors.

Theirs are lora_A [r, in] and lora_B [out, r], named by the linear layer they are added to. A layer that holds several of our weights side
by side has one A for all of them in that form, which ours, with an A each, are not: it is refused.
"""

import json
from pathlib import Path

import numpy as np

from tenfold.convert.weights import Names
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.families.names import Row
from tenfold.model.families.registry import family_of
from tenfold.model.params import Params
from tenfold.tokens.files import write_atomically


def save_adapters(path: Path | str, config: ModelConfig, adapters: Params, alpha: float, base: str) -> None:
    """Writes adapters (`blocks[i][module][target]`: `a` [N, in.., r] and `b` [N, r, out..]) of a model that PEFT finds under `base`.

    Raises UserError where no family of the Hugging Face library is such a model, or its layers do not take such adapters.
    """
    from safetensors.numpy import save_file

    path = Path(path)
    family, _ = family_of(config)
    names, period = Names(config, family.rows(config)), len(adapters["blocks"])
    tensors: dict[str, np.ndarray] = {}
    modules, transposed, rank = set(), set(), 0
    for first, block in enumerate(adapters["blocks"]):
        for module, targets in block.items():
            for target, pair in targets.items():
                a_NIr, b_NrO = np.asarray(pair["a"], np.float32), np.asarray(pair["b"], np.float32)
                layers, rank = len(a_NIr), a_NIr.shape[-1]
                row, turned = _layer(names, f"blocks.{module}.{target}", a_NIr.shape[1:-1], b_NrO.shape[2:])
                theirs = row.theirs[0].removesuffix(".weight")
                modules.add(_suffix(names, theirs))
                transposed.add(turned)
                for repeat in range(layers):
                    key = f"base_model.model.{theirs.format(first + period * repeat)}"
                    tensors[f"{key}.lora_A.weight"] = np.ascontiguousarray(a_NIr[repeat].reshape(-1, rank).T)
                    tensors[f"{key}.lora_B.weight"] = np.ascontiguousarray(b_NrO[repeat].reshape(rank, -1).T)
    said = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(modules),
        "bias": "none",
        "fan_in_fan_out": transposed == {False},
        "inference_mode": True,
    }
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / "adapter_model.safetensors", {"format": "pt"})
    write_atomically(path / "adapter_config.json", json.dumps(said, indent=2) + "\n")


def _suffix(names: Names, layer: str) -> str:
    """What PEFT finds the layer by: the end of its name, and the word before where other layers end in the same one."""
    end = layer.rpartition(".")[2]
    alike = [row.theirs[0] for row in names.rows if row.theirs[0].endswith(f".{end}.weight")]
    return end if len(alike) == 1 else ".".join(layer.split(".")[-2:])


def _layer(names: Names, ours: str, ins: tuple[int, ...], outs: tuple[int, ...]) -> tuple[Row, bool]:
    """The row of one of our weights, and whether their layer holds it as [out, in]. Refuses layers that hold it otherwise."""
    row, _ = names.row_of[ours]
    if len(row.ours) > 1 or len(row.theirs) > 1:
        raise UserError(
            f"{row.theirs[0]!r} holds our {', '.join(row.ours)} in one layer, for which PEFT has one A, and these adapters have one each.\n"
            "  Merge them into the model and write that whole, or train adapters of other lora.targets."
        )
    weight_IO = np.arange(np.prod(ins) * np.prod(outs), dtype=np.float32).reshape(int(np.prod(ins)), -1)
    theirs = row.pack([weight_IO.reshape(*ins, *outs)], names.config)[0]
    for turned, wanted in ((True, weight_IO.T), (False, weight_IO)):
        if theirs.shape == wanted.shape and np.array_equal(theirs, wanted):
            return row, turned
    raise UserError(f"{row.theirs[0]!r} holds our {ours} in an order of its own, which PEFT's adapters do not have.\n  Merge them instead.")
