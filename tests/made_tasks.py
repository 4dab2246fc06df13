"""A tiny model with a tokenizer of bytes and small task files of every kind. For the tests of what ties an evaluation together."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers

from tenfold.api import Model
from tenfold.model.config import ModelConfig
from tenfold.model.params import map_params, model_params
from tenfold.tokens.tokenizer import END_OF_TEXT, Tokenizer

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()


def byte_tokenizer() -> Tokenizer:
    """A token a byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Library(models.BPE({letter: n for n, letter in enumerate([END_OF_TEXT, *letters])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END_OF_TEXT])
    return Tokenizer(made.to_str())


def tiny_model(seed: int = 0, **changes) -> Model:
    """One layer, random weights far from their start."""
    shape = dict(vocab=260, context=192, layers=1, embed=16, heads=2, dtype="float32") | changes
    config = ModelConfig(**shape)  # type: ignore[arg-type]
    random = np.random.default_rng(seed)
    params = map_params(lambda p: jnp.asarray(random.normal(0, 0.3, p.shape), jnp.float32), model_params(config))
    return Model(config, params, byte_tokenizer())


def write_tasks(folder: Path, items: int = 6) -> Path:
    """choose, word (one answer that must be the likeliest), text, answer, program and untrained, which has no pool, each .yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, first in (("test", 0), ("train", 100)):
        rows = [
            {"n": n, "word": WORDS[n % 10], "choices": [WORDS[n % 10], WORDS[(n + 3) % 10] + " é"], "label": n % 2}
            for n in range(first, first + items)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    about = "about: made up\nsource: nobody, CC0\n"
    both = "test: {path: test.jsonl}\nshots_from: {path: train.jsonl, split: train}\nshots: 2\n"
    question = "question: 'Which is {{n}}?'\n"
    files = {
        "choose": f"kind: choice\n{both}{question}choices: [' {{{{choices[0]}}}}', ' {{{{choices[1]}}}}']\ngold: label\nscoring: answer\n",
        "word": f"kind: choice\nmetric: greedy\n{both}{question}answer: ' {{{{word}}}}'\n",
        "text": "kind: perplexity\nmetric: perplexity\ntest: {path: test.jsonl}\nquestion: '{{word}} {{n}}'\n",
        "answer": f"kind: write\nmetric: exact\n{both}{question}answer: ' {{{{word}}}}'\nmax_tokens: 4\n",
        "program": "kind: code\nmetric: pass@k\ntest: {path: test.jsonl}\nquestion: 'n = '\n"
        "program: 'n = {{written}}\n\n  assert n == {{n}}'\n",
        "untrained": f"kind: write\nmetric: exact\n{both.split('shots')[0]}shots_from: {{path: nowhere.jsonl}}\n{question}answer: ' a'\n",
    }
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(about + text)
    return folder
