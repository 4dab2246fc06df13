"""BERT and T5: the published sizes, and small ones that learn something from Python's standard library in a minute on two cores.

BERT: Devlin et al. 2019, appendix A.2. T5: Raffel et al. 2020, section 3.1.2. What was printed and is built otherwise is in the notes.
"""

from dataclasses import replace
from typing import Any

from tenfold.model.families.registry import published
from tenfold.tokens.config import DataConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

SMALL_VOCAB = 1024


def bert_base() -> Recipe:
    """Batches of 256 rows of 512, a million steps, Adam at 1e-4 warmed up over 10,000 steps."""
    model = published()["bert-base"]
    row_tokens = 256 * model.context
    return Recipe(
        "bert-base",
        "Devlin et al. 2019, appendix A.2. As printed and as built differ: linear decay printed, cosine to 0 built; dropout 0.1 printed, "
        "none built; 90% of the steps at context 128 printed, all at 512 built; "
        "next-sentence prediction printed, none built; WordPiece tokens "
        "printed, those of data.tokenizer built.",
        model=model,
        optimizer=OptimizerConfig(
            learning_rate=1e-4, beta2=0.999, eps=1e-6, weight_decay=0.01, warmup_tokens=10_000 * row_tokens, final_fraction=0.0
        ),
        train=TrainConfig(
            steps=1_000_000, batch=256, objective="masked", log_every=100, evaluate_every=10_000, checkpoint_every=10_000, prompts=()
        ),
    )


def t5_small() -> Recipe:
    """Batches of 128 rows of 512, 2^19 steps: the baseline's pre-training."""
    model = published()["t5-small"]
    return Recipe(
        "t5-small",
        "Raffel et al. 2020, sections 3.1.2 and 3.1.4. As printed and as built differ: AdaFactor at 1 / sqrt(max(step, 10,000)) printed, "
        "AdamW at 1e-3 with a cosine built; dropout 0.1 printed, none built; SentencePiece tokens printed, those of data.tokenizer built.",
        model=model,
        optimizer=OptimizerConfig(learning_rate=1e-3, beta2=0.999, weight_decay=0.0, warmup_tokens=10_000 * 128 * model.context),
        train=TrainConfig(
            steps=2**19, batch=128, objective="span", log_every=100, evaluate_every=10_000, checkpoint_every=10_000, prompts=()
        ),
    )


def bert_tiny() -> Recipe:
    """BERT's shape at 2 layers of 128; steps for about a minute."""
    model = replace(published()["bert-base"], vocab=SMALL_VOCAB, context=64, layers=2, embed=128, heads=2)
    return _tiny("bert-tiny", "BERT's shape, small; its learning rate is higher, as small models bear.", model, "masked", BERT_STEPS, 2e-3)


def t5_tiny() -> Recipe:
    """T5's shape at 2 layers of 128 in the encoder and in the decoder; steps for about a minute."""
    shape: dict[str, Any] = dict(vocab=SMALL_VOCAB, context=64, layers=2, encoder_layers=2, embed=128, heads=2, head_dim=64, mlp=512)
    model = replace(published()["t5-small"], head_scale=1.0, **shape)
    return _tiny("t5-tiny", "T5's shape, small; its logits are not scaled down, as its table starts small.", model, "span", T5_STEPS, 1e-3)


BERT_STEPS, T5_STEPS = 600, 600


def _tiny(name: str, notes: str, model, objective, steps: int, rate: float) -> Recipe:
    batch = 32
    optimizer = OptimizerConfig(learning_rate=rate, beta2=0.98, weight_decay=0.01, warmup_tokens=steps * batch * model.context // 20)
    train = TrainConfig(steps=steps, batch=batch, objective=objective, prompts=())
    return Recipe(name, notes, model=model, data=DataConfig(paths=("stdlib",)), optimizer=optimizer, train=train)


RECIPES = {"bert-base": bert_base, "t5-small": t5_small, "bert-tiny": bert_tiny, "t5-tiny": t5_tiny}
