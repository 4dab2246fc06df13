"""Learning from which answer was preferred, without a reward model: DPO, IPO and KTO.

Sources: DPO, Rafailov et al. 2023, equation 7; IPO, Azar et al. 2023, equation 17; KTO, Ethayarajh et al. 2024, equation 8.

Log-probabilities are of whole answers, summed over their tokens, the end among them: f32[B]; ref is the frozen model that training started
from. Losses are f32[B], one a pair (KTO: an answer): their sum over the whole batch is divided by its number of pairs, so parts add up.
"""

import jax
import jax.numpy as jnp


def sequence_logprobs(logp_BT: jax.Array, mask_BT: jax.Array) -> jax.Array:
    """f32[B]: the sum over an answer's tokens."""
    return jnp.where(mask_BT > 0, logp_BT, 0.0).sum(-1)


def implicit_rewards(logp_B: jax.Array, ref_B: jax.Array, beta: float) -> jax.Array:
    """beta log pi / ref: what DPO's policy is the best policy for, up to a number for each prompt (its equation 5)."""
    return beta * (logp_B - ref_B)


def dpo_loss(
    chosen_B: jax.Array, rejected_B: jax.Array, ref_chosen_B: jax.Array, ref_rejected_B: jax.Array, beta: float = 0.1
) -> jax.Array:
    """-log sigmoid(beta (log pi/ref of the chosen - log pi/ref of the rejected)): DPO's equation 7."""
    return -jax.nn.log_sigmoid(beta * ((chosen_B - ref_chosen_B) - (rejected_B - ref_rejected_B)))


def ipo_loss(
    chosen_B: jax.Array, rejected_B: jax.Array, ref_chosen_B: jax.Array, ref_rejected_B: jax.Array, beta: float = 0.1
) -> jax.Array:
    """(h - 1 / (2 beta))^2 with h the same difference of log-ratios: IPO's equation 17, its tau being beta. On sums, as printed; some
    programs take means over tokens, which is another beta for each length."""
    return jnp.square((chosen_B - ref_chosen_B) - (rejected_B - ref_rejected_B) - 1 / (2 * beta))


def kto_loss(
    logp_B: jax.Array,
    ref_B: jax.Array,
    good_B: jax.Array,
    kl: jax.Array,
    beta: float = 0.1,
    good_weight: float = 1.0,
    bad_weight: float = 1.0,
) -> jax.Array:
    """w (1 - sigmoid(r - z)) of good answers and w (1 - sigmoid(z - r)) of bad ones, r = beta log pi/ref, z = beta kl: KTO's equation 8.

    `kl` comes from `kto_reference`, over the whole batch; no gradient passes through it.
    """
    above_B = implicit_rewards(logp_B, ref_B, beta) - beta * jax.lax.stop_gradient(kl)
    return jnp.where(good_B, good_weight * jax.nn.sigmoid(-above_B), bad_weight * jax.nn.sigmoid(above_B))


def kto_reference(logp_B: jax.Array, ref_B: jax.Array, real_B: jax.Array | None = None) -> jax.Array:
    """max(0, the mean of log pi/ref over answers that belong to other prompts of the batch): KTO's estimate of KL(pi || ref).

    `real_B` says which there are; 0 where there is none.
    """
    real_B = jnp.ones(logp_B.shape, bool) if real_B is None else real_B
    return jnp.maximum(jnp.where(real_B, logp_B - ref_B, 0.0).sum() / jnp.maximum(real_B.sum(), 1), 0.0)
