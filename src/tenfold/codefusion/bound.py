"""How likely a model finds a snippet, in nats: what its samples are ranked by.

CodeFusion's is the variational bound (Ho et al. 2020, equation 5; its terms as Kingma et al. 2021 write them):

    -log p(y | s) <= E[-log p(y | x_1)] + sum_{t > 1} (SNR_{t-1} - SNR_t) / 2 E|x_0 - x0^_t|^2 + KL(q(x_n | y) || N(0, 1))

with SNR_t = ab_t / (1 - ab_t), and squares summed over T and W. A masked model's is its loss (losses.py), an autoregressive one's exact.
Estimates take times evenly, and of all candidates the same times and noise, so that their differences are less uncertain than themselves.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.losses import NOISE, autoregressive_loss, masked_loss, row_normal
from tenfold.codefusion.model import Text, decode, denoise, embed_code, keep_text, read_text
from tenfold.codefusion.noise import q_sample, signal_shares
from tenfold.codefusion.rows import Rows
from tenfold.model.params import Params
from tenfold.objectives.causal import token_logprobs


@partial(jax.jit, static_argnames=("config", "passes"))
def bound(params: Params, config: FusionConfig, text: Text, code_BT, seed: jax.Array, pad: jax.Array, passes: int) -> jax.Array:
    """f32[B]: an upper bound of -log p(code | text), all pads counted, from `passes` passes. Of an autoregressive model it is exact, to the
    first pad."""
    key = jax.random.key(seed)
    if config.kind == "autoregressive":
        return _each(partial(autoregressive_loss, pad=pad), params, config, text, code_BT, key[None], jnp.zeros(1))
    offset = jax.random.uniform(jax.random.fold_in(key, passes))
    times = (offset + jnp.arange(passes)) / passes
    key_P = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(passes))
    if config.kind == "masked":
        return _each(masked_loss, params, config, text, code_BT, key_P, times)
    encoded = read_text(params, config, text)
    kept = keep_text(params, config, encoded)

    def add(total_B, draw):
        return total_B + _diffusion_term(kept, config, encoded, code_BT, *draw), None

    total_B = jax.lax.scan(add, jnp.zeros(code_BT.shape[0]), (key_P, times))[0] / passes
    return total_B + _ends(kept, config, encoded, code_BT, jax.random.fold_in(key, passes + 1))


def snr_weights(steps: int) -> np.ndarray:
    """f64[steps - 1]: what the squared error counts at each step from 2 on."""
    share = signal_shares(steps)[1:]
    snr = share / (1 - share)
    return (snr[:-1] - snr[1:]) / 2


def _each(loss, params, config, text: Text, code_BT, key_P, time_P) -> jax.Array:
    """A loss of token models, the mean over these draws, of each row by itself: f32[B]. A row's draws are one batch."""
    P = time_P.shape[0]

    def one(row):
        text, code_PT = jax.tree.map(lambda array: jnp.broadcast_to(array, (P, *array.shape)), row)
        none_PT = jnp.zeros(code_PT.shape, bool)
        rows = Rows(text, code_PT, none_PT, jnp.ones(code_PT.shape), none_PT[:, 0], time_P)
        return loss(params, config, rows, key_P).loss / P

    return jax.lax.map(one, (text, code_BT))


def _estimate(params, config, encoded, code_BT, key, t):
    """(L(y), the estimate of it from x_t). All rows have the same noise, and a denoiser that reads its own estimate makes it first, as half
    of its training did."""
    B = code_BT.shape[0]
    code_BTW, t_B = embed_code(params, config, code_BT), jnp.full(B, t)
    noise_BTW = jnp.broadcast_to(row_normal(key[None], NOISE, code_BTW.shape[1:]), code_BTW.shape)
    x_BTW = q_sample(config.steps, code_BTW, t_B, noise_BTW)
    found = denoise(params, config, x_BTW, t_B, encoded)
    if config.self_conditioned:
        found = denoise(params, config, x_BTW, t_B, encoded, found.x0_BTW)
    return code_BTW, found.x0_BTW


def _diffusion_term(params, config, encoded, code_BT, key, time) -> jax.Array:
    """One draw of the sum over t > 1: the step is drawn with a chance in proportion to |log SNR_{t-1} - log SNR_t|, and its term divided by
    it, as terms in even steps of log SNR differ least."""
    share = signal_shares(config.steps)[1:]
    chance = np.diff(np.log1p(-share) - np.log(share))
    chance /= chance.sum()
    place = jnp.searchsorted(jnp.asarray(np.cumsum(chance), jnp.float32), time).clip(0, config.steps - 2)
    code_BTW, x0_BTW = _estimate(params, config, encoded, code_BT, key, place + 2)
    weight = jnp.asarray(snr_weights(config.steps) / chance, jnp.float32)[place]
    return weight * jnp.square(code_BTW - x0_BTW).sum((1, 2))


def _ends(params, config, encoded, code_BT, key) -> jax.Array:
    """The first and the last term."""
    code_BTW, x0_BTW = _estimate(params, config, encoded, code_BT, key, 1)
    d_BTW = decode(params, config, x0_BTW, encoded)
    first_B = -token_logprobs(d_BTW, params["head"], code_BT, config.dtype, params["head_bias"]).sum(1)
    left = signal_shares(config.steps)[-1]
    return first_B + 0.5 * (left * jnp.square(code_BTW).sum((1, 2)) + code_BTW[0].size * (-left - np.log1p(-left)))
