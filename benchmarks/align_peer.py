"""The peer's side of align.py: TRL's own trainers, which say when a step is done and stand still until the next is asked for.

Runs in an environment of its own that has TRL: `python align_peer.py FOLDER METHOD SIZES MODE`.
"""

import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRL_EXPERIMENTAL_SILENCE="1", TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")

import torch  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402
from align_work import END, PAD, Sizes, even_words  # noqa: E402
from datasets import disable_progress_bars, load_dataset  # noqa: E402
from side import Steps  # noqa: E402

logging.disable(logging.WARNING)
disable_progress_bars()
RATE = 1e-5


class StandStill(transformers.TrainerCallback):
    """Everything from the end of a step to the end of the next counts."""

    def __init__(self, steps: Steps):
        self.steps = steps

    def on_step_end(self, args, state, control, **_):
        self.steps.done()


def settings(out: str, mode: str, rows: int) -> dict:
    """What all trainers are told: steps alone, nothing recomputed, nothing written."""
    quiet = dict(save_strategy="no", eval_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True)
    optimizer = dict(learning_rate=RATE, lr_scheduler_type="constant", adam_beta2=0.95, weight_decay=0.1, max_grad_norm=1.0)
    fast = dict(use_cpu=True, bf16="bf16" in mode, torch_compile="compile" in mode, gradient_checkpointing=False)
    return dict(output_dir=out, max_steps=10**6, per_device_train_batch_size=rows, **quiet, **optimizer, **fast)


def make_trainer(folder: Path, method: str, sizes: Sizes, mode: str, out: str, callback: StandStill):
    """The method's trainer, its model loaded and its texts read."""
    no_dropout = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "start", dtype=torch.float32, **no_dropout)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), eos_token=END, pad_token=PAD)
    file = folder / f"{method if method in ('sft', 'dpo') else 'prompts'}.jsonl"
    texts = load_dataset("json", data_files=str(file), split="train", cache_dir=out)
    given = dict(model=model, train_dataset=texts, processing_class=tokenizer, callbacks=[callback])
    if method == "sft":
        return trl.SFTTrainer(args=trl.SFTConfig(max_length=sizes.row, **settings(out, mode, sizes.rows)), **given)
    if method == "dpo":
        return trl.DPOTrainer(args=trl.DPOConfig(max_length=sizes.row, **settings(out, mode, sizes.rows // 2)), **given)
    if method == "grpo":
        rollouts = dict(num_generations=sizes.group, max_completion_length=sizes.new)
        args = trl.GRPOConfig(**rollouts, **settings(out, mode, sizes.completions))
        return trl.GRPOTrainer(args=args, reward_funcs=even_words, **given)
    from align_peer_ppo import make_ppo

    return make_ppo(sizes, settings(out, mode, sizes.completions), start=folder / "start", **given)


def main() -> None:
    folder, method, sizes, mode = sys.argv[1:]
    steps = Steps(f"trl {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as out:
        trainer = make_trainer(Path(folder), method, Sizes(**json.loads(sizes)), mode, out, StandStill(steps))
        trainer.train()


if __name__ == "__main__":
    main()
