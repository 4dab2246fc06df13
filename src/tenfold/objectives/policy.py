"""Losses of a policy that is optimised against a reward: PPO as people train it on text, GRPO and its unbiased variants.

Sources: PPO, Schulman et al. 2017, equation 7; GAE, Schulman et al. 2016, equations 11 to 14; per-token KL and its adaptive weight, Ziegler
et al. 2019, section 2.2; value clipping and whitening, Huang et al. 2024 ("The N implementation details of RLHF with PPO"); the score of a
text that did not end, Stiennon et al. 2020 as Huang et al. found it; PPO-ptx, Ouyang et al. 2022, equation 2; GRPO, Shao et al. 2024,
equation 3; "Dr. GRPO", Liu et al. 2025, section 3; DAPO, Yu et al. 2025, equations 8 to 10; the estimators of KL, Schulman 2020.

Shapes: B rows, each a prompt and a completion; T places, of which place t is where token t + 1 was chosen; N prompts, G completions of
each. `mask_BT` is 1 where the chosen token is the completion's, its end among them. Means are over the tokens, or rows, of a whole batch:
`Totals` counts them before the batch is cut into microbatches or over devices, so that it may be cut anyhow.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Over = Literal["token", "sequence", "longest"]
"""What a loss is a mean over: all tokens alike (DAPO); a row's tokens, then rows (GRPO); rows x the longest they may be (Dr. GRPO)."""


class Totals(NamedTuple):
    """What a whole batch holds, however it is cut."""

    tokens: jax.Array
    """Tokens that were chosen."""
    rows: jax.Array
    """Rows with at least one."""


def totals(mask_BT: jax.Array) -> Totals:
    """Of a whole batch; at least 1 of each, so that an empty one has a loss of 0."""
    return Totals(jnp.maximum(mask_BT.sum(), 1), jnp.maximum(mask_BT.any(-1).sum(), 1))


def mean_over(loss_BT: jax.Array, mask_BT: jax.Array, over: Over, whole: Totals, longest: int = 0) -> jax.Array:
    """This part's share of the whole batch's mean: the shares of all parts add up to it. `longest` is the most tokens a row may have."""
    row_B = jnp.where(mask_BT > 0, loss_BT, 0).sum(-1)
    if over == "token":
        return row_B.sum() / whole.tokens
    if over == "sequence":
        return (row_B / jnp.maximum(mask_BT.sum(-1), 1)).sum() / whole.rows
    return row_B.sum() / (whole.rows * longest)


def log_ratio(logp_BT: jax.Array, old_BT: jax.Array, mask_BT: jax.Array) -> jax.Array:
    """log pi / pi_old where a token was chosen, else 0: what stands elsewhere must not overflow."""
    return jnp.where(mask_BT > 0, logp_BT - old_BT, 0.0)


def clipped_surrogate(log_ratio_BT: jax.Array, advantage_BT: jax.Array, low: float = 0.2, high: float = 0.2) -> jax.Array:
    """-min(r A, clip(r, 1 - low, 1 + high) A), f32[B, T]: PPO's equation 7; `high` above `low` is DAPO's "clip-higher"."""
    ratio_BT = jnp.exp(log_ratio_BT)
    return -jnp.minimum(ratio_BT * advantage_BT, jnp.clip(ratio_BT, 1 - low, 1 + high) * advantage_BT)


def kl_k1(logp_BT: jax.Array, ref_BT: jax.Array) -> jax.Array:
    """log pi - log pi_ref of the tokens that were drawn from pi: unbiased for KL(pi || ref), and of either sign. For rewards."""
    return logp_BT - ref_BT


def kl_k3(logp_BT: jax.Array, ref_BT: jax.Array, mask_BT: jax.Array) -> jax.Array:
    """ref / pi - 1 - log(ref / pi): unbiased for the same, never below 0, and of a gradient that leads to ref (GRPO, equation 4). For
    losses."""
    log_r_BT = log_ratio(ref_BT, logp_BT, mask_BT)
    return jnp.expm1(log_r_BT) - log_r_BT


def token_rewards(score_B: jax.Array, kl_BT: jax.Array, mask_BT: jax.Array, beta: jax.Array | float) -> jax.Array:
    """f32[B, T]: -beta KL of each chosen token, and the row's score at the last of them (Ziegler et al. 2019, equation 2)."""
    T = mask_BT.shape[1]
    last_B = T - 1 - jnp.argmax(mask_BT[:, ::-1] > 0, axis=1)
    last_BT = (jnp.arange(T) == last_B[:, None]) & (mask_BT > 0)
    return jnp.where(mask_BT > 0, -beta * kl_BT, 0.0) + jnp.where(last_BT, score_B[:, None], 0.0)


def gae(
    reward_BT: jax.Array, value_BT: jax.Array, mask_BT: jax.Array, gamma: float = 1.0, lam: float = 0.95
) -> tuple[jax.Array, jax.Array]:
    """(advantages, returns), f32[B, T]: A_t = d_t + gamma lam A_t+1 with d_t = r_t + gamma V_t+1 - V_t; the return is A + V.

    V_t is of what stands before token t + 1 is chosen. After a row's last choice there is nothing: V and A are 0 there.
    """

    def backwards(after, now):
        value_after_B, advantage_after_B = after
        reward_B, value_B, mask_B = now
        advantage_B = mask_B * (reward_B + gamma * value_after_B - value_B + gamma * lam * advantage_after_B)
        return (mask_B * value_B, advantage_B), advantage_B

    nothing_B = jnp.zeros_like(reward_BT[:, 0])
    _, advantage_TB = jax.lax.scan(backwards, (nothing_B, nothing_B), (reward_BT.T, value_BT.T, mask_BT.T), reverse=True)
    return advantage_TB.T, advantage_TB.T + mask_BT * value_BT


def whiten(x_BT: jax.Array, mask_BT: jax.Array, shift_mean: bool = True) -> jax.Array:
    """x with variance 1 and mean 0 over the chosen tokens of the whole batch; without `shift_mean` its mean stays. 0 elsewhere."""
    count = jnp.maximum(mask_BT.sum(), 1)
    mean = (x_BT * mask_BT).sum() / count
    variance = (jnp.square(x_BT - mean) * mask_BT).sum() / count
    white_BT = (x_BT - mean) * jax.lax.rsqrt(variance + 1e-8)
    return mask_BT * (white_BT if shift_mean else white_BT + mean)


def clipped_value_loss(value_BT: jax.Array, old_BT: jax.Array, return_BT: jax.Array, clip: float = 0.2) -> jax.Array:
    """0.5 max((V - R)^2, (clip(V, old - c, old + c) - R)^2), f32[B, T] (Huang et al. 2024, detail of "value clipping")."""
    near_BT = old_BT + jnp.clip(value_BT - old_BT, -clip, clip)
    return 0.5 * jnp.maximum(jnp.square(value_BT - return_BT), jnp.square(near_BT - return_BT))


def adapted_beta(beta: jax.Array, kl: jax.Array, target: float, horizon: float, rows: int) -> jax.Array:
    """beta (1 + clip(kl / target - 1, -0.2, 0.2) rows / horizon): Ziegler et al. 2019, section 2.2, `kl` being a row's sum."""
    return beta * (1 + jnp.clip(kl / target - 1, -0.2, 0.2) * rows / horizon)


def score_unended(score_B: jax.Array, ended_B: jax.Array, penalty: float | None) -> jax.Array:
    """The scores, with `penalty` in place of those of texts that did not end; None leaves them."""
    return score_B if penalty is None else jnp.where(ended_B, score_B, penalty)


def group_advantages(score_NG: jax.Array, scaled: bool = True) -> jax.Array:
    """f32[N, G]: each score less its group's mean, over the group's standard deviation (GRPO) or not (Dr. GRPO); 0 in a group of equals.

    The deviation is that of the group itself. Programs that divide by G - 1 have advantages smaller by sqrt(1 - 1/G).
    """
    away_NG = score_NG - score_NG.mean(-1, keepdims=True)
    # Of equal scores the mean may be rounded away from them: what is left is no difference, and must not be scaled up.
    away_NG = jnp.where(score_NG.max(-1, keepdims=True) == score_NG.min(-1, keepdims=True), 0.0, away_NG)
    if not scaled:
        return away_NG
    return away_NG / (jnp.sqrt(jnp.square(away_NG).mean(-1, keepdims=True)) + 1e-6)


class Drift(NamedTuple):
    """How far an update has moved the policy: each a share of a mean over the whole batch's tokens."""

    kl: jax.Array
    """k3 of pi_old against pi, on tokens of pi_old."""
    clipped: jax.Array
    """Share of tokens whose ratio is outside the clip."""
    ratio: jax.Array
    """Mean of pi / pi_old: 1 where nothing has moved."""


def drift(log_ratio_BT: jax.Array, mask_BT: jax.Array, whole: Totals, low: float = 0.2, high: float = 0.2) -> Drift:
    """Exactly (0, 0, 1) at a batch's first update, or the two log-probabilities are not of the same policy."""
    ratio_BT = jnp.exp(log_ratio_BT)
    outside_BT = (ratio_BT < 1 - low) | (ratio_BT > 1 + high)
    return Drift(*(mean_over(x, mask_BT, "token", whole) for x in (jnp.expm1(log_ratio_BT) - log_ratio_BT, outside_BT * 1.0, ratio_BT)))


def mixed_loss(policy: jax.Array, pretraining: jax.Array, coefficient: float) -> jax.Array:
    """PPO-ptx: the policy's loss and `coefficient` times the mean negative log-likelihood of pretraining text; InstructGPT's was 27.8."""
    return policy + coefficient * pretraining
