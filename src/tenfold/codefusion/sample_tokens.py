"""From masks to tokens, and from one token to the next: sampling of the two models beside CodeFusion.

Masked: Sahoo et al. 2024 (MDLM): between times t and s of [0, 1] a masked token is uncovered with probability (t - s) / t, as
drawn from the model; `confident` uncovers as many, but those of the highest probability, as LLaDA (Nie et al. 2025) and MaskGIT do.
A row's randomness is its key's alone. Letters: config.py.
"""

from functools import partial

import jax
import jax.numpy as jnp

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.losses import row_normal
from tenfold.codefusion.model import keep_text, noise_for, read_text
from tenfold.codefusion.sample import FREE, NO_TEXT, Asked
from tenfold.codefusion.settings import Sampling
from tenfold.generate.sampling import position_keys, sample
from tenfold.model.cache import empty_cache
from tenfold.model.params import Params
from tenfold.model.transformer import Encoded, forward, logits

UNCOVER = 19  # a purpose of a row's key, after those of sample.py


@partial(jax.jit, static_argnames=("config", "how"))
def sample_masked(params: Params, config: FusionConfig, asked: Asked, how: Sampling) -> jax.Array:
    """int32[1, B, T]."""
    encoded = read_text(params, config, asked.text)
    kept = keep_text(params, config, encoded)
    count = how.count(config.length)
    free_BT = asked.given_BT == FREE
    start_BT = jnp.where(free_BT, config.mask, asked.given_BT)

    def one_step(number, tokens_BT):
        masked_BT = tokens_BT == config.mask
        key_B = jax.vmap(jax.random.fold_in, (0, None))(asked.key_B, number)
        logits_BTV = masked_logits(params, kept, config, how, tokens_BT, encoded, key_B)
        drawn_BT, sureness_BT, chance_BT = jax.vmap(partial(_draw, how.temperature))(logits_BTV, key_B)
        if how.order == "random":
            uncovered_BT = chance_BT < 1 / (count - number)  # (t - s) / t
        else:
            rank_BT = jnp.argsort(jnp.argsort(jnp.where(masked_BT, -sureness_BT, jnp.inf), axis=1), axis=1)
            left_B = masked_BT.sum(1)
            uncovered_BT = rank_BT < jnp.ceil(left_B / (count - number))[:, None]
        return jnp.where(masked_BT & uncovered_BT, drawn_BT, tokens_BT)

    return jax.lax.fori_loop(0, count, one_step, start_BT)[None]


def _draw(temperature: float, logits_TV, key):
    """(a token, its log-probability, a number from [0, 1)) for each place of a row."""
    tokens_key, chance_key = jax.random.split(jax.random.fold_in(key, UNCOVER))
    logp_TV = jax.nn.log_softmax(logits_TV)
    drawn_T = logits_TV.argmax(-1) if temperature == 0 else jax.random.categorical(tokens_key, logits_TV / temperature)
    sureness_T = jnp.take_along_axis(logp_TV, drawn_T[:, None], 1)[:, 0]
    return drawn_T.astype(jnp.int32), sureness_T, jax.random.uniform(chance_key, drawn_T.shape)


def masked_logits(params: Params, kept: Params, config: FusionConfig, how: Sampling, tokens_BT, encoded: Encoded, key_B) -> jax.Array:
    """f32[B, T, mask]: with the text, whose keys and values are `kept`, and `guidance` - 1 times what that has over noise for a text. The
    mask is no token."""

    def read(params, encoded):
        output = forward(params, config.stack, tokens_BT, encoded=encoded)
        return logits(params, config.stack, output.x_BTD)[..., : config.mask]

    with_BTV = read(kept, encoded)
    if how.guidance == 1:
        return with_BTV
    noise_BSD = row_normal(key_B, NO_TEXT, encoded.memory_BSD.shape[1:])
    without_BTV = read(params, noise_for(encoded, noise_BSD, jnp.ones(tokens_BT.shape[0], bool)))
    return without_BTV + how.guidance * (with_BTV - without_BTV)


@partial(jax.jit, static_argnames=("config", "how"))
def sample_autoregressive(params: Params, config: FusionConfig, asked: Asked, how: Sampling, pad: jax.Array) -> jax.Array:
    """int32[1, B, T]. It ends where every row has; what follows is pads."""
    encoded = read_text(params, config, asked.text)
    kept = keep_text(params, config, encoded)
    B = asked.given_BT.shape[0]

    def going(state):
        place, _, last_B, _ = state
        return (place < config.length) & jnp.any(last_B != pad)

    def one_token(state):
        place, tokens_BT, last_B, cache = state
        output = forward(kept, config.stack, last_B[:, None], cache=cache, encoded=encoded)
        logits_BV = logits(params, config.stack, output.x_BTD)[:, 0, : config.mask]
        drawn_B = sample(logits_BV, position_keys(asked.key_B, jnp.full(B, place)), how.temperature, 0, 1.0)
        drawn_B = jnp.where(last_B == pad, pad, drawn_B)
        return place + 1, tokens_BT.at[:, place].set(drawn_B), drawn_B, output.cache

    cache = empty_cache(config.stack, B, config.length)
    cache.empty = False  # one token is read at a time, after those in the cache
    start = (jnp.int32(0), jnp.full((B, config.length), pad, jnp.int32), jnp.full(B, config.mask, jnp.int32), cache)
    return jax.lax.while_loop(going, one_token, start)[1][None]
