"""Makes tests/golden/adapters/: adapters of models in families/ as the PEFT library writes them, and the logits it computes with them.

Written by peft 0.21.2, transformers 5.23.0 and PyTorch 2.13.0, CPU, f32 (each expected.npz says so under `library`). Not run by the tests.
To make it anew, in an environment with all three:

    python tests/golden/adapters.py

A and B are random, so that no adapter is nothing. The tokens are those of the model's own expected.npz.
"""

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from families import CASES as MODELS

HERE = Path(__file__).with_suffix("")
FAMILIES = HERE.parent / "families"
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

CASES = {
    "llama_gqa": dict(r=3, lora_alpha=7, target_modules=LLAMA),
    "llama": dict(  # another scaling, another rank and alpha for some layers, one layer without
        r=4, lora_alpha=6, target_modules=LLAMA[:5], use_rslora=True, layers_to_transform=[1],
        rank_pattern={"mlp.gate_proj": 2}, alpha_pattern={"o_proj": 3},
    ),
    "gpt2": dict(r=3, lora_alpha=5, target_modules=["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"], fan_in_fan_out=True),
    "gpt_neox": dict(r=2, lora_alpha=6, target_modules=["query_key_value", "dense"]),
    "falcon_new": dict(r=2, lora_alpha=6, target_modules=["query_key_value"]),
    "bert": dict(r=2, lora_alpha=6, target_modules=["query", "attention.output.dense"]),
    "t5": dict(r=3, lora_alpha=6, target_modules=["SelfAttention.q", "v", "EncDecAttention.o", "wi"]),
}  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    for name, settings in CASES.items():
        write(name, settings)


def write(name: str, settings: dict) -> None:
    random = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    base = MODELS[name].model.from_pretrained(FAMILIES / name, attn_implementation=MODELS[name].attention, dtype=torch.float32)
    model = peft.get_peft_model(base, peft.LoraConfig(**settings)).eval()
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if ".lora_" in key:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=random))
    model.save_pretrained(HERE / name)
    (HERE / name / "README.md").unlink(missing_ok=True)
    file = HERE / name / "adapter_config.json"
    said = json.loads(file.read_text()) | {"base_model_name_or_path": f"families/{name}"}  # not where it lies on one machine
    said["target_modules"] = sorted(said["target_modules"])  # PEFT writes a set, in any order
    file.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n")
    with np.load(FAMILIES / name / "expected.npz") as file:
        inputs = {key: torch.from_numpy(file[key]).long() for key in ("tokens", "decoder_tokens") if key in file}
    named = {"input_ids": inputs["tokens"], "attention_mask": torch.ones_like(inputs["tokens"])}
    if "decoder_tokens" in inputs:
        named["decoder_input_ids"] = inputs["decoder_tokens"]
    with torch.no_grad():
        logits = model(**named).logits.numpy()
    library = f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"
    np.savez(HERE / name / "expected.npz", logits=logits, library=np.array(library))


if __name__ == "__main__":
    main()
