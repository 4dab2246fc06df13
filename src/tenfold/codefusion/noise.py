"""The noise: how much there is at each step, adding it, and the ways back.

    ab_t = prod_{i <= t} (1 - beta_i),  beta_i = min(1 - f(i / n) / f((i - 1) / n), 0.999),  f(u) = 1 - sqrt(u + 0.0001)

is Diffusion-LM's square-root schedule (Li et al. 2022, appendix A) as its code and GENIE's make it; CodeFusion has n = 1,200 steps.
Step 0 is the embedding of a snippet itself, step n all but noise. x_t, x_0 and noise are f32[B, T, W]; t and s are int32[B].
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

OFFSET, LARGEST = 1e-4, 0.999


@cache
def signal_shares(steps: int) -> np.ndarray:
    """f64[steps + 1]: ab_t, the share of a noisy embedding's variance that is the embedding's."""
    left = 1 - np.sqrt(np.arange(steps + 1) / steps + OFFSET)
    beta = np.minimum(1 - left[1:] / left[:-1], LARGEST)
    return np.concatenate([[1.0], np.cumprod(1 - beta)])


def scales(steps: int, t_B: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(sqrt(ab_t), sqrt(1 - ab_t)), f32[B, 1, 1] each."""
    share = signal_shares(steps)
    signal, noise = (jnp.asarray(np.sqrt(x), jnp.float32)[t_B][:, None, None] for x in (share, 1 - share))
    return signal, noise


def q_sample(steps: int, x0_BTW, t_B, noise_BTW) -> jax.Array:
    """x_t = sqrt(ab_t) x_0 + sqrt(1 - ab_t) noise (Ho et al. 2020, equation 4)."""
    signal, noise = scales(steps, t_B)
    return signal * x0_BTW + noise * noise_BTW


def embedding_under(steps: int, x_BTW, t_B, noise_BTW) -> jax.Array:
    """The x_0 that with this noise gives x_t: equation 4, solved for x_0. At step n of 1,200 it is the noise's error 1,600 times over."""
    signal, noise = scales(steps, t_B)
    return (x_BTW - noise * noise_BTW) / signal


def noise_over(steps: int, x_BTW, t_B, x0_BTW) -> jax.Array:
    """The noise that with this x_0 gives x_t, of steps from 1 on."""
    signal, noise = scales(steps, t_B)
    return (x_BTW - signal * x0_BTW) / jnp.maximum(noise, 1e-6)


def posterior(steps: int, x_BTW, x0_BTW, t_B) -> tuple[jax.Array, jax.Array]:
    """Mean f32[B, T, W] and variance f32[B, 1, 1] of x_{t-1} given x_t and x_0 (Ho et al. 2020, equations 6 and 7)."""
    share = signal_shares(steps)
    before, beta = share[:-1], 1 - share[1:] / share[:-1]
    of_x0, of_x, variance = (
        jnp.asarray(np.concatenate([[0.0], x]), jnp.float32)[t_B][:, None, None]
        for x in (
            np.sqrt(before) * beta / (1 - share[1:]),
            np.sqrt(1 - beta) * (1 - before) / (1 - share[1:]),
            beta * (1 - before) / (1 - share[1:]),
        )
    )
    return of_x0 * x0_BTW + of_x * x_BTW, variance


def step_back(steps: int, x_BTW, x0_BTW, t_B, s_B, eta, fresh_BTW) -> jax.Array:
    """x_s, s < t, from x_t and an estimate of x_0 (Song et al. 2021, equations 12 and 16).

    `eta` 0 adds no noise (DDIM); 1 adds as much as the posterior has, which `fresh_BTW` is multiplied by, and with s = t - 1 is its sample.
    """
    share = jnp.asarray(signal_shares(steps), jnp.float32)
    signal_s, noise_s = scales(steps, s_B)
    _, noise_t = scales(steps, t_B)
    kept = (share[t_B] / share[s_B])[:, None, None]
    sigma = eta * noise_s / noise_t * jnp.sqrt(1 - kept)
    direction = jnp.sqrt(jnp.maximum(noise_s**2 - sigma**2, 0))
    return signal_s * x0_BTW + direction * noise_over(steps, x_BTW, t_B, x0_BTW) + sigma * fresh_BTW


def steps_taken(steps: int, count: int) -> np.ndarray:
    """int32[count + 1]: from `steps` down to 0, evenly, without the steps between."""
    return np.round(np.linspace(steps, 0, count + 1)).astype(np.int32)
