"""A model of Tenfold for lm-evaluation-harness: its tasks, prompts and scores, our engine underneath (pip install 'tenfold[eval]').

The harness knows the models in its own list and those that were registered before it starts; it looks for no others. So

    python -m tenfold.evaluate.lm_eval --model tenfold --model_args path=RUN --tasks piqa

registers this one and then is `lm_eval`, with all of its commands. In Python, importing this module is enough. Written for 0.4.13.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tenfold  # its public `load`, which lies above this room
from tenfold.errors import UserError
from tenfold.evaluate.engine import Engine
from tenfold.evaluate.requests import Continuation, Writing

try:
    import lm_eval.models  # its own list, which it would not make once ours is there  # noqa: F401
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
    from tqdm import tqdm
except ImportError as missing:
    raise UserError(f"lm-evaluation-harness is not installed ({missing}).\n  Run: pip install 'tenfold[eval]'") from None

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # the harness's names for one thing, the first counts
LONGEST = 256  # tokens, where none of them is said: the harness's own default
KNOWN = {"until", "do_sample", "temperature", "num_beams", "length_penalty", *LENGTHS}
IDLE = {"top_p": 1.0, "top_k": 0}  # these values change nothing


@register_model("tenfold")
class TenfoldLM(LM):
    """What `tenfold.load` takes, as the harness asks it."""

    def __init__(
        self,
        path: str,
        weights: str = "float32",
        adapter: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
    ):
        """`path` is a run directory, a Hugging Face directory or a .gguf file; `weights` what they are rounded to while measuring. The
        harness's batch sizes and device are for others: our engine packs requests itself."""
        super().__init__()
        self.path = path
        self.engine = Engine(tenfold.load(path, adapter), weights=weights)  # type: ignore[arg-type]

    @property
    def tokenizer_name(self) -> str:
        """A fingerprint, by which the harness tells its caches of requests apart."""
        return getattr(self.engine.tokenizer, "fingerprint", self.path)

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Of each continuation, its log-probability and whether the model would write it by itself."""
        with _bar("tokens", disable_tqdm) as progress:
            answers = self.engine.score([Continuation(*request.args) for request in requests], progress)
        return self._kept("loglikelihood", requests, [(answer.total, answer.greedy) for answer in answers])

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of each whole text."""
        with _bar("tokens", disable_tqdm) as progress:
            found = self.engine.rolling([request.args[0] for request in requests], progress)
        return self._kept("loglikelihood_rolling", requests, [answer.total for answer in found])

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """What the model writes after each context, up to the first of its stop strings."""
        with _bar("texts", disable_tqdm) as progress:
            found = self.engine.write([writing(*request.args) for request in requests], progress)
        return self._kept("generate_until", requests, [answer.texts[0] for answer in found])

    def get_model_info(self) -> dict[str, Any]:
        """What the harness writes into its results."""
        return {"model_path": self.path, "tokenizer": self.tokenizer_name}

    def _kept(self, kind: str, requests: Sequence[Instance], answers: list) -> list:
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial(kind, request.args, answer)
        return answers


def writing(context: str, settings: dict[str, Any]) -> Writing:
    """The harness's settings of generation as ours. Raises UserError for one that we have not got."""
    if unknown := [name for name, value in settings.items() if name not in KNOWN and value != IDLE.get(name)]:
        raise UserError(f"the task asks to generate with {unknown[0]} {settings[unknown[0]]!r}, which we cannot.\n  Leave it out.")
    until = settings.get("until") or []
    lengths = [settings[name] for name in LENGTHS if settings.get(name) is not None]
    temperature = float(settings.get("temperature") or 0.0) if settings.get("do_sample", "temperature" in settings) else 0.0
    return Writing(
        context,
        stop=tuple(each for each in ([until] if isinstance(until, str) else until) if each),
        max_tokens=int(lengths[0]) if lengths else LONGEST,
        beams=int(settings.get("num_beams") or 1),
        length_penalty=float(settings.get("length_penalty", 0.6)),
        temperature=temperature,
    )


class _bar:
    """The harness's kind of progress bar, as our engine tells it."""

    def __init__(self, unit: str, disable: bool):
        self.bar = tqdm(unit=f" {unit}", disable=disable, desc="tenfold")

    def __enter__(self) -> Callable[[int, int], None]:
        return self.hear

    def __exit__(self, *_) -> None:
        self.bar.close()

    def hear(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)


def main() -> None:
    """`lm_eval`, with this model in its list."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
