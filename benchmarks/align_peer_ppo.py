"""TRL's PPO for align_peer.py. Releases to 1.12 have it as experimental, 1.15 has it no more."""

from pathlib import Path
from types import SimpleNamespace

import torch
import transformers
from align_work import Sizes


class EvenWords(torch.nn.Module):
    """The reward of align_work.py in the form that TRL's PPO takes one: a model, here without weights.

    Shapes: B rows of T tokens, a prompt and its completion.
    """

    base_model_prefix = "backbone"

    def __init__(self, prompt: int):
        super().__init__()
        self.prompt = prompt

    def backbone(self, input_ids: torch.Tensor, **_) -> SimpleNamespace:
        """At each token, the share of even words among the completion's so far. A word's token is its number + 2."""
        word_BT = input_ids > 1
        word_BT[:, : self.prompt] = False
        even_BT = word_BT & (input_ids % 2 == 0)
        share_BT = even_BT.cumsum(1) / word_BT.cumsum(1).clamp(min=1)
        return SimpleNamespace(hidden_states=[share_BT[..., None]])

    def score(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden


def make_ppo(sizes: Sizes, settings: dict, model, train_dataset, processing_class, callbacks: list, start: Path):
    """The trainer, with a critic of the policy's shape and the start as the reference, as Tenfold's has them."""
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    lines = train_dataset.map(lambda line: {"input_ids": processing_class(line["prompt"])["input_ids"]}, remove_columns=["prompt"])
    given = dict(per_device_train_batch_size=sizes.completions, local_rollout_forward_batch_size=sizes.completions)
    sampled = dict(response_length=sizes.new, temperature=1.0, stop_token="eos", num_ppo_epochs=sizes.ppo_epochs, num_sample_generations=0)
    steps = settings.pop("max_steps")
    args = PPOConfig(**settings | given | sampled, total_episodes=steps * sizes.completions)
    critic = transformers.AutoModelForSequenceClassification.from_pretrained(start, num_labels=1, dtype=torch.float32)
    models = dict(model=model, ref_model=None, reward_model=EvenWords(sizes.prompt), value_model=critic)
    data = dict(train_dataset=lines, eval_dataset=lines, processing_class=processing_class)
    return PPOTrainer(args, **models, **data, callbacks=callbacks)
