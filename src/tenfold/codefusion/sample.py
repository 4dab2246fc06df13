"""From Gaussian noise to tokens: CodeFusion's inference (Singh et al. 2023, section 3), in all steps or few.

The denoiser runs in the loop, decoder and head once at its end, or with `estimate` decoder in each step. Fewer steps are DDIM's (Song et
al. 2021): evenly spaced, without noise (eta 0) or with the posterior's (eta 1). Guidance is Ho and Salimans's (2022, equation 6), on the
denoiser's estimate of x_0, against noise for a text.
All of a row's randomness is its key's, so that it is the same whoever is sampled beside it.
Letters: config.py; F frames.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.losses import row_normal
from tenfold.codefusion.model import Text, decode, denoise, embed_code, expected, keep_text, likeliest, nearest, noise_for, read_text
from tenfold.codefusion.noise import step_back, steps_taken
from tenfold.codefusion.settings import Sampling
from tenfold.model.params import Params
from tenfold.model.transformer import Encoded

FREE = -1  # in place of a token that is to be found
START, NO_TEXT, FRESH = range(16, 19)  # purposes of a row's key, apart from those of losses.py


class Asked(NamedTuple):
    """What rows are to be sampled for."""

    text: Text
    given_BT: jax.Array
    """int32: tokens that stay as they are, and FREE where they are to be found."""
    key_B: jax.Array


@partial(jax.jit, static_argnames=("config", "how"))
def sample_fusion(params: Params, config: FusionConfig, asked: Asked, how: Sampling) -> jax.Array:
    """int32[F, B, T]: tokens, pads among them; F is 1, or how.frames, each what decoder and head read in the estimate so far."""
    encoded = read_text(params, config, asked.text)
    kept = keep_text(params, config, encoded)
    held_BT1 = (asked.given_BT != FREE)[..., None]
    given_BTW = embed_code(params, config, jnp.maximum(asked.given_BT, 0))
    shape = given_BTW.shape[1:]
    taken = jnp.asarray(steps_taken(config.steps, how.count(config.steps)))
    each = how.count(config.steps) // how.frames

    def one_step(number, state):
        x_BTW, before_BTW = state
        x_BTW = jnp.where(held_BT1, given_BTW, x_BTW)
        t_B, s_B = (jnp.full(x_BTW.shape[0], taken[number + n]) for n in (0, 1))
        key_B = jax.vmap(jax.random.fold_in, (0, None))(asked.key_B, taken[number])
        x0_BTW = guided(params, kept, config, how, x_BTW, t_B, encoded, before_BTW, key_B)
        if how.estimate == "decoder":
            x0_BTW = expected(params, config, decode(params, config, jnp.where(held_BT1, given_BTW, x0_BTW), encoded))
        fresh_BTW = row_normal(key_B, FRESH, shape) if how.eta else jnp.zeros_like(x_BTW)
        return step_back(config.steps, x_BTW, x0_BTW, t_B, s_B, how.eta, fresh_BTW), x0_BTW

    def frame(state, number):
        state = jax.lax.fori_loop(number * each, (number + 1) * each, one_step, state)
        x0_BTW = jnp.where(held_BT1, given_BTW, state[1])
        if how.grounding == "nearest":
            found_BT = nearest(params, config, x0_BTW)
        else:
            found_BT = likeliest(params, config, decode(params, config, x0_BTW, encoded))
        return state, jnp.where(asked.given_BT == FREE, found_BT, asked.given_BT)

    start_BTW = row_normal(asked.key_B, START, shape)
    return jax.lax.scan(frame, (start_BTW, jnp.zeros_like(start_BTW)), jnp.arange(how.frames))[1]


def guided(params: Params, kept: Params, config: FusionConfig, how: Sampling, x_BTW, t_B, encoded: Encoded, before_BTW, key_B) -> jax.Array:
    """The estimate of x_0, f32[B, T, W]: that with the text, and `guidance` - 1 times what it has over the one without. `kept`: the weights
    with the text's keys and values."""
    with_BTW = denoise(kept, config, x_BTW, t_B, encoded, before_BTW).x0_BTW
    if how.guidance == 1:
        return with_BTW
    noise_BSD = row_normal(key_B, NO_TEXT, encoded.memory_BSD.shape[1:])
    without = noise_for(encoded, noise_BSD, jnp.ones(x_BTW.shape[0], bool))
    without_BTW = denoise(params, config, x_BTW, t_B, without, before_BTW).x0_BTW
    return without_BTW + how.guidance * (with_BTW - without_BTW)
