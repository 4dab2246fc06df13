"""What `--weights bfloat16` and `--weights int8` cost a model: its perplexity, and how often its likeliest token stays the same.

    python benchmarks/parity/weights.py MODEL TEXT

MODEL is what `tenfold.load` takes and TEXT a file; the first 2,048 tokens are scored in windows of 512, beside the weights in f32.
"""

import sys
from pathlib import Path

import jax
import numpy as np

import tenfold
from tenfold.generate.decode import prepare_for_decode
from tenfold.model.transformer import forward, logits

WINDOWS, WINDOW = 4, 512


def main(path: str, text: str) -> None:
    model = tenfold.load(path)
    assert model.tokenizer is not None
    ids = np.array(model.tokenizer.encode(Path(text).read_text()[:20000]))[: WINDOWS * WINDOW].reshape(WINDOWS, 1, WINDOW)
    likeliest = {}
    for weights in ("float32", "bfloat16", "int8"):
        params, config = prepare_for_decode(model.params, model.config, weights)
        score = jax.jit(lambda p, t, config=config: jax.nn.log_softmax(logits(p, config, forward(p, config, t).x_BTD)))
        scored = np.concatenate([np.asarray(score(params, window)) for window in ids])
        found = np.take_along_axis(scored[:, :-1], ids[:, 0, 1:, None], -1)
        likeliest[weights] = scored.argmax(-1)
        same = (likeliest[weights] == likeliest["float32"]).mean()
        print(
            f"{weights:<9} perplexity of {found.size:,} tokens {np.exp(-found.mean()):.2f}   the likeliest token the same {same:.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
