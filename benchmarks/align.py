"""Steps of SFT, DPO, GRPO and PPO beside TRL's, on the same model, texts, batch and optimiser, on this machine.

    python benchmarks/align.py --peers-python PATH_TO_A_PYTHON_WITH_TRL [--ppo-python PATH] [--methods sft dpo grpo ppo] [--runs 7]
        [--dtypes bfloat16 float32] [--peers bf16 f32 bf16-compile]

A model of GPT-2's form with random weights, which Tenfold writes and both sides load: 4 layers, embed 256, vocabulary 4,096. SFT and DPO
read 16 rows of 128 tokens a step, with nothing to pad or pack, and learn from answers; GRPO and PPO write 32 completions of 64 tokens to
prompts of 32 (GRPO eight to a prompt, one update; PPO four updates and a KL to the start) and score them by a function of their text,
rollouts included. AdamW, gradients clipped at 1. Tenfold computes in each of --dtypes over f32 weights; the peers are TRL's own trainers
without checkpoints, logs or recomputation, each with f32 weights: `bf16` by autocast, TRL's default, `f32`, and `bf16-compile` by
torch.compile. Trainers run by themselves and stand still after each step, so that steps of all sides are interleaved. The first step,
with loading and compiling before it, is told apart; the second is left out; the rest are the medians. The last figure is of the processors'
seconds of a step, which counts on a busy machine. Ratios are to the quicker of Tenfold's sides: above 1, it is faster. Which dtype is
quicker depends on the processor.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from align_work import Sizes, even_words, write_texts, write_tokenizer
from side import Side, Steps

METHODS = ("sft", "dpo", "grpo", "ppo")
DTYPES = ("bfloat16", "float32")
PEERS = ("bf16", "f32", "bf16-compile")
RATE = 1e-5


def write_start(folder: Path, sizes: Sizes) -> None:
    """The model of both sides, as a directory of the Hugging Face library, and the texts."""
    import jax

    from tenfold.convert.hugging_face import save_checkpoint
    from tenfold.model.config import ModelConfig
    from tenfold.model.params import init_params
    from tenfold.tokens.tokenizer import Tokenizer

    write_tokenizer(folder, sizes.vocab)
    write_texts(folder, sizes)
    shape = dict(vocab=sizes.vocab, context=sizes.row, layers=sizes.layers, embed=sizes.embed, heads=sizes.heads)
    config = ModelConfig(**shape)
    save_checkpoint(folder / "start", config, init_params(jax.random.key(0), config), Tokenizer.load(folder))


def recipe_of(folder: Path, method: str, sizes: Sizes, dtype: str):
    """What all of Tenfold's trainers are told."""
    from tenfold.convert.hugging_face import open_checkpoint
    from tenfold.tokens.config import DataConfig
    from tenfold.train.recipe import ChatConfig, OptimizerConfig, Recipe, TrainConfig

    file = str(folder / f"{method if method in ('sft', 'dpo') else 'prompts'}.jsonl")
    batch = {"sft": sizes.rows, "dpo": sizes.rows // 2}.get(method, sizes.completions)
    rare = dict(log_every=1, evaluate_every=10**6, checkpoint_every=10**6, sample_every=10**6)
    return Recipe(
        method,
        start=str(folder / "start"),
        model=replace(open_checkpoint(folder / "start").config, dtype=dtype),
        data=DataConfig((file,)),
        optimizer=OptimizerConfig(learning_rate=RATE, final_fraction=1.0),
        train=TrainConfig(10**6, batch, prompts=(), tensorboard=False, **rare),
        chat=ChatConfig("plain") if method == "sft" else ChatConfig(),
    )


def serve_tenfold(folder: Path, method: str, sizes: Sizes, dtype: str) -> None:
    """This side's process: Tenfold's own trainer."""
    import jax

    from tenfold.align.comparison import train_on_comparisons
    from tenfold.align.comparison_config import ComparisonRecipe, Dpo
    from tenfold.align.policy import train_policy
    from tenfold.align.policy_config import Grpo, PolicyRecipe, Ppo, RolloutConfig

    steps = Steps(f"jax {jax.__version__}")
    recipe = recipe_of(folder, method, sizes, dtype)
    with tempfile.TemporaryDirectory() as run:
        out = Path(run) / "run"
        if method == "sft":
            sft_steps(recipe, out, steps)
        elif method == "dpo":
            train_on_comparisons(ComparisonRecipe(recipe, dpo=Dpo()), out, lambda step, _: steps.done() if step else None)
        else:
            grpo = method == "grpo"
            learned = dict(grpo=Grpo()) if grpo else dict(ppo=Ppo(epochs=sizes.ppo_epochs))
            policy = PolicyRecipe(recipe, RolloutConfig(sizes.group if grpo else 1, sizes.new), **learned)
            train_policy(policy, out, {"even": even_words}, lambda *_: steps.done())


def sft_steps(recipe, out: Path, steps: Steps) -> None:
    """The loop of `train_sft`, but for what it does while a step is computed: each is waited for, so that none runs in the peer's turn."""
    import jax

    from tenfold.align.sft import prepared, rows_of
    from tenfold.model.host_memory import keep_freed_memory
    from tenfold.sharding.axes import make_mesh
    from tenfold.train.batch_schedule import batch_schedule
    from tenfold.train.batches import Batches
    from tenfold.train.noise import Plain
    from tenfold.train.optimizer import make_optimizer
    from tenfold.train.start import first_state
    from tenfold.train.state import state_shardings
    from tenfold.train.step import jit_train_step

    keep_freed_memory()
    recipe, material = prepared(recipe, out)
    mesh, optimizer, rows = make_mesh(recipe.mesh), make_optimizer(recipe), rows_of(recipe, material.train)
    batches = Batches(recipe, batch_schedule(recipe), rows, mesh, Plain(True, restart=True))
    with jax.set_mesh(mesh):
        state = first_state(recipe, optimizer, mesh)
        step = jit_train_step(recipe.model, optimizer, 0.0, state_shardings(recipe.model, optimizer, mesh), most=rows.most)
        for number in range(recipe.train.steps):
            state, metrics = step(state, batches(number))
            float(metrics.loss)
            steps.done()


def compare(folder: Path, method: str, sizes: Sizes, runs: int, dtypes: list[str], peers_python: str, peers: list[str]) -> None:
    """Interleaved steps of all sides, and a line for each."""
    peer = str(Path(__file__).with_name("align_peer.py"))
    told = [str(folder), method, json.dumps(asdict(sizes))]
    sides = {f"tenfold-{dtype}": Side([sys.executable, __file__, "--serve", *told, dtype]) for dtype in dtypes}
    ours = list(sides)
    sides |= {f"trl-{mode}": Side([peers_python, peer, *told, mode]) for mode in peers}
    answers: dict[str, list[tuple[float, list[int]]]] = {name: [] for name in sides}
    for _ in range(runs + 2):
        for name, side in sides.items():
            answers[name].append(side.work())
    count, unit = sizes.of_a_step(method), "tokens/s" if method in ("sft", "dpo") else "samples/s"
    print(f"\n{method}, medians of {runs}   ({sides[ours[0]].version}; {list(sides.values())[-1].version})")
    wall = {name: [seconds for seconds, _ in found[2:]] for name, found in answers.items()}
    spent = {name: statistics.median(each[0] for _, each in found[2:]) / 1000 for name, found in answers.items()}
    base = min(ours, key=lambda name: statistics.median(wall[name]))
    for name, found in wall.items():
        middle, slow, fast = (count / each for each in (statistics.median(found), max(found), min(found)))
        ratio = statistics.median(found) / statistics.median(wall[base])
        print(f"  {name:<16} {middle:9,.1f} {unit}  ({slow:,.1f} to {fast:,.1f})   ratio {ratio:.2f}", end="")
        processors = f"processors {spent[name]:.2f} s a step, ratio {spent[name] / spent[base]:.2f}"
        print(f"   first step {answers[name][0][0]:.1f} s   {processors}")
    sys.stdout.flush()
    for side in sides.values():
        side.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=os.environ.get("PEERS_PYTHON"), help="a Python that has TRL")
    parser.add_argument("--ppo-python", help="one that has TRL 1.12 or earlier, which still have PPO; without it PPO is left out")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES), help="what Tenfold computes in")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["bf16", "f32"])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        folder, method, sizes, dtype = options.serve
        serve_tenfold(Path(folder), method, Sizes(**json.loads(sizes)), dtype)
        return
    if not options.peers_python:
        sys.exit("Name a Python that has TRL: --peers-python PATH (make bench makes one).")
    with tempfile.TemporaryDirectory() as folder:
        write_start(Path(folder), Sizes())
        for method in options.methods:
            python = options.ppo_python if method == "ppo" else options.peers_python
            if python:
                compare(Path(folder), method, Sizes(), options.runs, options.dtypes, python, options.peers)
            else:
                print("\nppo is left out: name a Python that has TRL 1.12 with --ppo-python.")


if __name__ == "__main__":
    main()
