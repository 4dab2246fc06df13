"""The shape of a model that writes code from text. Imports no JAX.

CodeFusion (Singh et al. 2023, arXiv 2310.17680): a text encoder E, a denoiser N, a decoder D, a head H, an embedding L of code tokens.
Letters besides those of model/config.py: S places of the text, T places of the code, W width of L;
R places and width H of what a reader makes of the text.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tenfold.errors import UserError
from tenfold.model.config import Dtype, ModelConfig
from tenfold.model.families.t5 import SHARED

Kind = Literal["codefusion", "masked", "autoregressive"]


@dataclass(frozen=True)
class FusionConfig:
    """As it stands, the published shape: CodeT5-small's encoder, 10 layers that denoise, 6 that decode, 1,200 steps."""

    kind: Kind = "codefusion"
    """How code comes about: by denoising embeddings (CodeFusion), unmasking tokens (MDLM), or one token after the other. The last two
    have one stack of denoiser_layers + decoder_layers."""
    vocab: int = 32100
    """Rows of the tables of tokens: at least one more than the tokenizer has, for the last row is the mask."""
    text_length: int = 128
    """S, the most tokens of a text, and of code that the encoder reads masked."""
    length: int = 128
    """T, the tokens of a snippet, pads included."""
    encoder_layers: int = 6
    denoiser_layers: int = 10
    decoder_layers: int = 6
    embed: int = 512
    heads: int = 8
    mlp: int = 2048
    code_width: int = 0
    """W, the width of the embedding that noise is added to; 0 means embed. In a wide one, noise hides little."""
    reader_width: int = 0
    """H, the width of a language model's hidden states that are attended to beside E's; 0: there are none. reader.path fills it in."""
    steps: int = 1200
    """Steps from a snippet to noise."""
    predicts: Literal["noise", "code"] = "noise"
    """What the denoiser puts out: the noise in its input (CodeFusion), or the embedding under it (Diffusion-LM, section 4.2)."""
    normalised: bool = False
    """Each row of the embedding has the length sqrt(W), so that it cannot shrink until noise is all there is."""
    self_conditioned: bool = False
    """The denoiser also reads its own last estimate (Chen et al. 2022, Analog Bits: self-conditioning)."""
    dtype: Dtype = "bfloat16"
    """What matrix products take in, as in other models here."""
    remat: Literal["none", "block"] = "none"
    scan: bool = False
    """Compile one block of each tower and loop over its layers."""

    def __post_init__(self):
        for field in ("vocab", "text_length", "length", "encoder_layers", "denoiser_layers", "decoder_layers", "embed", "heads", "mlp"):
            if getattr(self, field) < 1:
                raise UserError(f"model.{field} is {getattr(self, field)}, but must be at least 1.")
        if self.steps < 2:
            raise UserError(f"model.steps is {self.steps}, but noise comes in at least 2 steps; the paper has 1200.")
        if self.code_width < 0:
            raise UserError(f"model.code_width is {self.code_width}, but must be at least 1, or 0 for model.embed.")
        if self.reader_width < 0:
            raise UserError(f"model.reader_width is {self.reader_width}, but must be 0 or more.\n  Leave it out: reader.path fills it in.")
        if self.text_length < self.length:
            raise UserError(
                f"model.text_length is {self.text_length} and model.length {self.length}, but the encoder also reads masked snippets."
                f"\n  Use model.text_length {self.length} or more."
            )
        if self.embed % self.heads:
            raise UserError(f"model.heads is {self.heads}, which does not divide model.embed {self.embed}.")
        if self.kind != "codefusion" and (self.self_conditioned or self.normalised or self.code_width):
            raise UserError(
                f"model.kind is {self.kind!r}, which denoises no embedding: code_width, normalised and self_conditioned mean nothing to it."
                "\n  Leave them out, or use --model.kind codefusion."
            )

    @property
    def width(self) -> int:
        """W."""
        return self.code_width or self.embed

    @property
    def all_steps(self) -> int:
        """The most steps that a sample takes: of a model of tokens, its tokens."""
        return self.steps if self.kind == "codefusion" else self.length

    @property
    def mask(self) -> int:
        """The id that stands for what is hidden; T5's first sentinel, where the vocabulary is T5's."""
        return self.vocab - 1

    @cached_property
    def encoder(self) -> ModelConfig:
        """E, as an encoder-decoder's encoder: CodeT5's."""
        return ModelConfig(**self._shared, **SHARED, context=self.text_length, encoder_layers=self.encoder_layers)

    @cached_property
    def denoiser(self) -> ModelConfig:
        """N."""
        return self._tower(self.denoiser_layers)

    @cached_property
    def decoder(self) -> ModelConfig:
        """D."""
        return self._tower(self.decoder_layers)

    @cached_property
    def stack(self) -> ModelConfig:
        """The decoder of the other two kinds, whose layers are as many as N's and D's together."""
        return self._tower(self.denoiser_layers + self.decoder_layers, causal=self.kind == "autoregressive")

    def _tower(self, layers: int, causal: bool = False) -> ModelConfig:
        """T5's blocks with learned positions: of a row of masks, all alike, relative ones could not tell one from the other."""
        said: dict[str, Any] = SHARED | {"positions": "learned"}
        shape: dict[str, Any] = dict(context=self.length, layers=layers, encoder_layers=self.encoder_layers, causal=causal, tied=False)
        return ModelConfig(**self._shared, **said, **shape)

    @property
    def _shared(self) -> dict[str, Any]:
        same = {name: getattr(self, name) for name in ("vocab", "embed", "heads", "mlp", "dtype", "remat", "scan")}
        return same | {"activation": "relu"}
