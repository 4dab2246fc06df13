"""CodeFusion: the published shape, and one that two cores train; each as masked diffusion and autoregressive too.

Singh et al. 2023 (arXiv 2310.17680). What was printed and is built otherwise is in the notes.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tenfold.codefusion.config import FusionConfig, Kind
from tenfold.codefusion.recipe import FusionRecipe, FusionTraining
from tenfold.codefusion.settings import Sampling
from tenfold.errors import UserError
from tenfold.train.recipe import OptimizerConfig, load_as

KINDS: tuple[Kind, ...] = ("codefusion", "masked", "autoregressive")


def published(kind: Kind = "codefusion") -> FusionRecipe:
    """CodeT5-small's encoder, 10 layers that denoise and 6 that decode, all of width 512; AdamW at 5e-4 without decay."""
    return FusionRecipe(
        _named("codefusion", kind),
        "Singh et al. 2023. The paper says 75M parameters; counted here, its layers are 87.7M and three tables of 32,100 tokens 49.3M, as "
        "denoiser and decoder attend to the text in each layer. Not printed, and chosen here: batch, steps, warm-up, mask rate, the norms' "
        "power. Encoder printed: CodeT5's; built: new, or that of --encoder.",
        model=FusionConfig(kind=kind),
        optimizer=OptimizerConfig(learning_rate=5e-4, beta2=0.999, weight_decay=0.0, warmup_tokens=1000 * 64 * 128),
        train=FusionTraining(steps=100_000, batch=64, log_every=100),
    )


def small(kind: Kind = "codefusion") -> FusionRecipe:
    """3 layers of width 96 that read, 3 that denoise, 2 that decode, 64 tokens; what helped small models is on. Narrow, so
    that an hour of a core shows it many pairs; few tokens, so that names and numbers are spelled and can be copied."""
    extra: dict = dict(code_width=16, predicts="code", normalised=True, self_conditioned=True) if kind == "codefusion" else {}
    rate = 2e-3 if kind == "codefusion" else 1e-3
    model = FusionConfig(
        kind=kind,
        vocab=1024,
        text_length=64,
        length=64,
        encoder_layers=3,
        denoiser_layers=3,
        decoder_layers=2,
        embed=96,
        heads=3,
        mlp=384,
        **extra,
    )
    return FusionRecipe(
        _named("codefusion-small", kind),
        "CodeFusion's parts, small. Not as published: the denoiser predicts the embedding, reads its own estimate, and noise "
        "is added to 16 numbers a token that keep their length; pads after the first count a tenth; a tenth of the texts is left out.",
        model=model,
        optimizer=OptimizerConfig(learning_rate=rate, beta2=0.98, weight_decay=0.0, warmup_tokens=100 * 32 * 64, final_fraction=0.0),
        train=FusionTraining(steps=5000, batch=32, pad_weight=0.1, drop_text=0.1),
    )


def _named(name: str, kind: Kind) -> str:
    return name if kind == "codefusion" else f"{name}-{kind}"


RECIPES: dict[str, Callable[[], FusionRecipe]] = {
    _named(name, kind): partial(make, kind) for name, make in (("codefusion", published), ("codefusion-small", small)) for kind in KINDS
}


def find_fusion(name: str, phase: str) -> FusionRecipe:
    """The recipe of that name for a phase, or of that file or run as it is. `phase` is pretrain or finetune."""
    if name in RECIPES:
        recipe = RECIPES[name]()
        train = replace(recipe.train, tasks=("code", "denoising"), drop_text=0.0) if phase == "pretrain" else recipe.train
        return replace(recipe, name=f"{recipe.name}-{phase}", train=train)
    path = Path(name) / "recipe.yaml" if (Path(name) / "recipe.yaml").exists() else Path(name)
    if path.is_file():
        return load_as(FusionRecipe, path)
    raise UserError(f"{name!r} is neither a recipe nor a file.\n  Recipes: {', '.join(RECIPES)}; or give the path of a recipe.yaml.")


def write_snippets(
    runs: Sequence[str],
    texts: Sequence[str],
    how: Sampling,
    given: Sequence[str] | None,
    holes: int,
    near: Sequence[str] = (),
    language: str | None = None,
) -> None:
    """Prints snippets as lines of JSON, those of a text together; of several runs with the run that wrote each. `near`: files of pairs
    whose codes are retrieved. `language`: whose meanings tell codes apart, where they do."""
    from tenfold.codefusion.candidates import load_writer
    from tenfold.codefusion.data import read_examples
    from tenfold.codefusion.meaning import Meanings
    from tenfold.codefusion.panel import generate_together
    from tenfold.codefusion.retrieval import Retrieval

    pairs = Retrieval([each for path in near for each in read_examples(path, "train").examples]) if near else None
    meanings = Meanings(language) if language else None
    models = {run: load_writer(run) for run in runs}
    if len(models) == 1:
        ((run, model),) = models.items()
        alone = model.generate(texts, how, given, holes, near=pairs, meanings=meanings)
        found = [[(run, snippet) for snippet in snippets] for snippets in alone]
    else:
        found = generate_together(models, texts, how, given, holes, pairs, meanings)
    for text, snippets in zip(texts, found, strict=True):
        for run, snippet in snippets:
            seen: dict = {"run": run} if len(models) > 1 else {}
            seen |= {"bound": snippet.bound} if snippet.bound is not None else {}
            seen |= {"frames": snippet.frames} if how.frames > 1 else {}
            print(json.dumps({"text": text, "code": snippet.code, **seen}, ensure_ascii=False))
