"""Tokens a second, with a cache, beside Hugging Face's `GPT2LMHeadModel.generate`, on the same random weights and this machine.

    python benchmarks/decode.py --peers-python PATH_TO_A_PYTHON_WITH_TORCH [--rows 1 8] [--runs 7]

Greedy, 128 new tokens after 16, for one prompt and for 8 at once; layers 6, embed 384, heads 6, context 256, vocabulary 50,304. Each
side is a process of its own whose weights are ready in its type; calls are interleaved, and medians compared. The faster of the peer's
types, bf16 and f32, is the peer; Tenfold computes in bf16. A run's time includes reading the prompt. The ratio is Tenfold's tokens a
second over the peer's: above 1, Tenfold is faster. `agrees` counts the tokens, of the first row, before Tenfold and the peer part:
random weights give near ties, which rounding to bf16 decides, so only the check in f32 against f32 is held to all of them.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from side import Side, answer_lines

LAYERS, EMBED, HEADS, CONTEXT, VOCAB = 6, 384, 6, 256, 50304
PROMPT, NEW = 16, 128


def serve_tenfold(weights: str, dtype: str) -> None:
    """This side's process: writes the weights that all sides use if they are not there, then a line a call."""
    import jax
    import numpy as np

    from tenfold.generate.decode import Requests, decode, prepare_for_decode
    from tenfold.generate.sampling import row_keys
    from tenfold.model.config import ModelConfig
    from tenfold.model.params import init_params

    config = ModelConfig(vocab=VOCAB, context=CONTEXT, layers=LAYERS, embed=EMBED, heads=HEADS, dtype=dtype)
    params = init_params(jax.random.key(0), config)
    if not os.path.exists(weights):
        np.savez(weights, **hugging_face_names(params))
    params, config = prepare_for_decode(params, config)

    def write(asked: str) -> list[int]:
        rows = int(asked)
        prompts = np.random.default_rng(rows).integers(0, VOCAB, (rows, PROMPT)).tolist()
        chunks = list(decode(params, config, prompts, Requests.of(row_keys(0, rows), vocab=VOCAB), NEW))
        return np.concatenate(chunks, 1)[0].tolist()

    answer_lines(write, f"jax {jax.__version__}")


def hugging_face_names(params) -> dict:
    """The weights as GPT2LMHeadModel names and shapes them."""
    import numpy as np

    def flat(w, *shape):
        return np.asarray(w[0], np.float32).reshape(*shape)

    named = {"transformer.wte.weight": params["embedding"], "transformer.wpe.weight": params["position"]}
    named |= {"transformer.ln_f.weight": params["final_norm"]["scale"], "transformer.ln_f.bias": params["final_norm"]["bias"]}
    for number, block in enumerate(params["blocks"]):
        at, attention, mlp = f"transformer.h.{number}", block["attention"], block["mlp"]
        names = ("query", "key", "value")
        named |= {
            f"{at}.ln_1.weight": flat(block["attention_norm"]["scale"], EMBED),
            f"{at}.ln_1.bias": flat(block["attention_norm"]["bias"], EMBED),
            f"{at}.attn.c_attn.weight": np.concatenate([flat(attention[n], EMBED, EMBED) for n in names], 1),
            f"{at}.attn.c_attn.bias": np.concatenate([flat(attention[f"{n}_bias"], EMBED) for n in names]),
            f"{at}.attn.c_proj.weight": flat(attention["out"], EMBED, EMBED),
            f"{at}.attn.c_proj.bias": flat(attention["out_bias"], EMBED),
            f"{at}.ln_2.weight": flat(block["mlp_norm"]["scale"], EMBED),
            f"{at}.ln_2.bias": flat(block["mlp_norm"]["bias"], EMBED),
            f"{at}.mlp.c_fc.weight": flat(mlp["up"], EMBED, 4 * EMBED),
            f"{at}.mlp.c_fc.bias": flat(mlp["up_bias"], 4 * EMBED),
            f"{at}.mlp.c_proj.weight": flat(mlp["down"], 4 * EMBED, EMBED),
            f"{at}.mlp.c_proj.bias": flat(mlp["down_bias"], EMBED),
        }
    return {name: np.asarray(w, np.float32) for name, w in named.items()}


def serve_hugging_face(weights: str, dtype: str) -> None:
    """The peer's process."""
    import numpy as np
    import torch
    import transformers

    shape = dict(vocab_size=VOCAB, n_positions=CONTEXT, n_embd=EMBED, n_layer=LAYERS, n_head=HEADS)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, bos_token_id=None, eos_token_id=None)).eval()
    state = {name: torch.from_numpy(w) for name, w in np.load(weights).items()}
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and set(missing) <= {"lm_head.weight"}, (missing, unknown)
    model.tie_weights()
    model = model.to(getattr(torch, dtype))
    settings = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, use_cache=True, pad_token_id=0)

    def write(asked: str) -> list[int]:
        rows = int(asked)
        prompts = torch.from_numpy(np.random.default_rng(rows).integers(0, VOCAB, (rows, PROMPT)))
        with torch.inference_mode():
            return model.generate(prompts, attention_mask=torch.ones_like(prompts), **settings)[0, PROMPT:].tolist()

    answer_lines(write, f"torch {torch.__version__}, transformers {transformers.__version__}")


def compare(sides: dict[str, Side], rows: int, runs: int) -> None:
    """Interleaved runs of all sides after one to warm up, and a line for each."""
    written = {name: side.work(rows)[1] for name, side in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            seconds[name].append(side.work(rows)[0])
    speed = {name: rows * NEW / statistics.median(times) for name, times in seconds.items()}
    peer = max((name for name in sides if name.startswith("hf")), key=lambda name: speed[name])
    print(f"\n{rows} prompt{'s' * (rows > 1)} at once")
    for name, times in seconds.items():
        slow, fast = rows * NEW / max(times), rows * NEW / min(times)
        ratio = f"   ratio {speed['tenfold'] / speed[name]:.2f}" if name != "tenfold" else ""
        print(f"  {name:<14} median {speed[name]:7.0f} tokens/s  ({slow:.0f} to {fast:.0f}){ratio}{'  <- the peer' * (name == peer)}")
    print(f"  agrees with {peer} for {agreeing(written['tenfold'], written[peer])} of {NEW} tokens", flush=True)


def agreeing(a: list[int], b: list[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=os.environ.get("PEERS_PYTHON"), help="a Python that has torch and transformers")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        kind, weights, dtype = options.serve
        {"tenfold": serve_tenfold, "hf": serve_hugging_face}[kind](weights, dtype)
        return
    if not options.peers_python:
        sys.exit("Name a Python that has torch and transformers: --peers-python PATH (make bench makes one).")
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")

        def side(python: str, kind: str, dtype: str) -> Side:
            return Side([python, __file__, "--serve", kind, weights, dtype])

        sides = {"tenfold": side(sys.executable, "tenfold", "bfloat16")}
        sides |= {f"hf-{dtype}": side(options.peers_python, "hf", dtype) for dtype in ("bfloat16", "float32")}
        print(f"{sides['tenfold'].version}; {sides['hf-float32'].version}")
        exact = side(sys.executable, "tenfold", "float32")
        same = agreeing(exact.work(1)[1], sides["hf-float32"].work(1)[1])
        exact.close()
        print(f"the same model: f32 agrees with hf-float32 for {same} of {NEW} tokens")
        for rows in options.rows:
            compare(sides, rows, options.runs)
        for side in sides.values():
            side.close()


if __name__ == "__main__":
    main()
