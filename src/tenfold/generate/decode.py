"""Prefill and decoding on the one forward pass: tokens in, tokens out.

A device call reads all prompts, or writes several tokens of every row. What is compiled depends on the model, the number of rows, the
prompt's bucket and the cache's bucket; lengths, sampling settings and the number of steps are arguments.
Shapes: B rows, P prompt bucket, C tokens of one call.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.errors import UserError
from tenfold.generate.config import Weights
from tenfold.generate.sampling import position_keys, sample, scale
from tenfold.model.adapters import MODULES
from tenfold.model.cache import Cache, empty_cache, in_order
from tenfold.model.config import ModelConfig
from tenfold.model.forms import INPUT_AXES, Turned8, as_head, bits, turned8
from tenfold.model.params import Params, restack
from tenfold.model.transformer import forward, head, logits

CHUNK = 16
"""Tokens of one device call: few enough to stream smoothly, enough to hide the call's own cost."""


@jax.tree_util.register_dataclass
@dataclass
class Requests:
    """What each row asked for."""

    key_B: jax.Array
    temperature_B: jax.Array
    top_k_B: jax.Array
    top_p_B: jax.Array
    vocab: jax.Array
    """Ids below this are tokens; the embedding table may have more rows."""
    end_of_text: jax.Array
    """The id that ends a row; -1 where nothing does."""

    @classmethod
    def of(cls, key_B, *, temperature=0.0, top_k=0, top_p=1.0, vocab: int, end_of_text: int = -1) -> "Requests":
        """One setting for all rows, or one each."""
        B = key_B.shape[0]

        def rows(value, dtype):
            return jnp.broadcast_to(jnp.asarray(value, dtype), B)

        settings = rows(temperature, jnp.float32), rows(top_k, jnp.int32), rows(top_p, jnp.float32)
        return cls(key_B, *settings, jnp.int32(vocab), jnp.int32(end_of_text))


@jax.tree_util.register_dataclass
@dataclass
class DecodeState:
    """Rows being written. `token_B` was drawn last and is not in the cache yet."""

    cache: Cache
    token_B: jax.Array
    done_B: jax.Array
    logprob_B: jax.Array | None = None
    """Of `token_B`, where log-probabilities were asked for."""


def bucket(size: int, most: int, least: int = 16, steps: int = 2) -> int:
    """The size that is compiled for `size`: a power of two, or one of `steps` - 1 evenly between two; at most `most`.

    No two are closer than a quarter of `least`.
    """
    power = least
    while power < size:
        power *= 2
    step = max(power // 2 // steps, least // 4) if power > least else power
    return min(-(-size // step) * step, most)


def check_room(config: ModelConfig, lengths: Sequence[int], max_tokens: int) -> None:
    """Refuses prompts that leave no room for `max_tokens`, with the arithmetic."""
    row = max(range(len(lengths)), key=lambda b: lengths[b])
    need = lengths[row] + max_tokens
    if need > config.context:
        which = f"prompt {row + 1} of {len(lengths)}" if len(lengths) > 1 else "the prompt"
        left = config.context - lengths[row]
        mend = f"Use max_tokens {left} or less, or a shorter prompt." if left > 0 else f"Shorten it to at most {config.context - 1} tokens."
        raise UserError(
            f"{which} has {lengths[row]} tokens and max_tokens is {max_tokens}: {lengths[row]} + {max_tokens} = {need} positions, "
            f"but the model knows {config.context} (model.context).\n  {mend}"
        )


def prepare_for_decode(
    params: Params, config: ModelConfig, weights: Weights = "as trained", scan: bool = False
) -> tuple[Params, ModelConfig]:
    """The weights as decoding reads them, and the configuration that goes with them. Done once; doing it again changes nothing.

    Matrices are of the compute type, or of the one named; the head is a copy of the embedding in that type, as a gather from such a table
    would turn all of it to f32 on CPUs. Layers are unrolled, since a loop over stacked layers would copy each layer's weights every step;
    `scan` stacks them, for those who read many tokens at once and would rather compile one block.
    """
    config = dataclasses.replace(config, scan=scan, remat="none")
    if weights == "float32" or weights == "bfloat16":
        config = dataclasses.replace(config, dtype=weights)
    return (params if _is_ready(params, config, weights) else _prepare(params, config, weights == "int8")), config


def _is_ready(params: Params, config: ModelConfig, weights: Weights) -> bool:
    table = params.get("head")
    if table is None or len(params["blocks"]) != config.period:
        return False
    return isinstance(table, Turned8) or (weights != "int8" and table.dtype == config.dtype)


@functools.partial(jax.jit, static_argnames=("config", "int8"))
def _prepare(params: Params, config: ModelConfig, int8: bool) -> Params:
    blocks = params["blocks"] if len(params["blocks"]) == config.period else restack(params["blocks"], config.period)
    table_VD = head(params)[0]
    prepared = {"blocks": [_prepare_block(block, config, int8) for block in blocks]}
    return params | prepared | {"head": as_head(table_VD) if int8 else table_VD.astype(config.dtype)}


def _prepare_block(block: Params, config: ModelConfig, int8: bool) -> Params:
    def prepare(path, w):
        module, name = path[-2].key, path[-1].key
        if name.endswith(("bias", "scale")) or name == "router":
            return w
        if int8 and module in MODULES:
            return turned8(w, INPUT_AXES[name])
        as_bits = config.scan and config.dtype == "bfloat16" and jax.default_backend() == "cpu"
        return bits(w.astype(config.dtype)) if as_bits else w.astype(config.dtype)

    return jax.tree_util.tree_map_with_path(prepare, block)


def decode(
    params: Params,
    config: ModelConfig,
    prompts: Sequence[Sequence[int]],
    requests: Requests,
    max_tokens: int,
    done_B: np.ndarray | None = None,
    sizes: tuple[int, int] | None = None,
) -> Iterator[np.ndarray]:
    """Yields the new tokens of all rows as they are written, int32[B, up to CHUNK], until all rows are done or have `max_tokens`.

    `params` and `config` come from `prepare_for_decode`. A row that wrote end_of_text is done, and so is one that the caller has since
    marked in `done_B` (bool[B], read before each device call); what comes after that in a row means nothing. `sizes` are the prompt's and
    the cache's buckets, where the caller has many batches and few programs are worth more than a small cache.
    """
    for tokens_BC, _ in _decode(params, config, prompts, requests, max_tokens, done_B, sizes, scored=False):
        yield tokens_BC


def decode_scored(
    params: Params,
    config: ModelConfig,
    prompts: Sequence[Sequence[int]],
    requests: Requests,
    max_tokens: int,
    sizes: tuple[int, int] | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `decode`, with the log-probability of each token beside it, f32[B, up to CHUNK]: at the row's temperature (0 counts as 1), among
    the ids that are tokens, and before top-k and top-p leave any out."""
    for tokens_BC, logprob_BC in _decode(params, config, prompts, requests, max_tokens, None, sizes, scored=True):
        assert logprob_BC is not None
        yield tokens_BC, logprob_BC


def _decode(params, config: ModelConfig, prompts, requests: Requests, max_tokens: int, done_B, sizes, scored: bool):
    lengths = [len(p) for p in prompts]
    check_room(config, lengths, max_tokens)
    P = bucket(max(lengths), config.context)
    S = bucket(max(P, max(lengths) + max_tokens), config.context, least=64, steps=8)  # finer: each step reads all of the cache
    P, S = sizes or (P, S)
    state = prefill(params, config, S, padded(prompts, P), np.array(lengths, np.int32), requests, scored)
    written = 1
    yield np.asarray(state.token_B)[:, None], None if state.logprob_B is None else np.asarray(state.logprob_B)[:, None]
    while written < max_tokens:
        if done_B is not None:
            state = dataclasses.replace(state, done_B=state.done_B | done_B)
        state, tokens_BC, logprob_BC, count = decode_chunk(params, config, state, requests, min(CHUNK, max_tokens - written))
        if count == 0:
            return
        written += int(count)
        yield np.asarray(tokens_BC)[:, : int(count)], None if logprob_BC is None else np.asarray(logprob_BC)[:, : int(count)]


def padded(prompts: Sequence[Sequence[int]], P: int) -> np.ndarray:
    """int32[B, P]: the prompts, filled up on the right."""
    tokens_BP = np.zeros((len(prompts), P), np.int32)
    for row, prompt in enumerate(prompts):
        tokens_BP[row, : len(prompt)] = prompt
    return tokens_BP


@functools.partial(jax.jit, static_argnames=("config", "positions", "scored"))
def prefill(
    params: Params, config: ModelConfig, positions: int, tokens_BP, length_B, requests: Requests, scored: bool = False
) -> DecodeState:
    """Reads the prompts into a new cache of `positions` positions and draws each row's first token; `scored`: with its log-probability.

    Prompts are padded on the right: a position sees only earlier ones, and decoding writes over the padding.
    """
    x_BPD, cache, _ = forward(params, config, tokens_BP, cache=empty_cache(config, tokens_BP.shape[0], positions), real_B=length_B)
    assert cache is not None
    last_B1D = jnp.take_along_axis(x_BPD, (length_B - 1)[:, None, None], axis=1)
    token_B, logprob_B = next_token(params, config, last_B1D, length_B, requests, scored)
    return DecodeState(Cache(cache.layers, jnp.asarray(length_B)), token_B, token_B == requests.end_of_text, logprob_B)


@functools.partial(jax.jit, static_argnames=("config", "positions"))
def prefill_once(params: Params, config: ModelConfig, positions: int, tokens_NP, length_N) -> DecodeState:
    """Reads N prompts into a new cache, for rows that go on from them (`in_rows`). No token is drawn yet: each prompt's last, which is not
    in the cache, stands in for it."""
    before_N = length_N - 1
    cache = forward(params, config, tokens_NP, cache=empty_cache(config, tokens_NP.shape[0], positions), real_B=before_N).cache
    assert cache is not None
    last_N = jnp.take_along_axis(tokens_NP, before_N[:, None], 1)[:, 0]
    return DecodeState(Cache(cache.layers, before_N), last_N, jnp.zeros(last_N.shape, bool))


@jax.jit
def in_rows(state: DecodeState, row_B) -> DecodeState:
    """The rows row_B[b] of a state whose tokens' log-probabilities nobody asked for."""
    return DecodeState(in_order(state.cache, row_B), state.token_B[row_B], state.done_B[row_B])


@functools.partial(jax.jit, donate_argnames=("state",))
def admit(state: DecodeState, others: DecodeState, row_B, new_B) -> DecodeState:
    """The state (of two rows or more) in which row b is row row_B[b] of `others` where new_B[b]."""

    def chosen(new_BX, old_BX):
        return jnp.where(jnp.expand_dims(new_B, range(1, old_BX.ndim)), new_BX, old_BX)

    return jax.tree.map(chosen, in_rows(others, row_B), state)


@functools.partial(jax.jit, static_argnames=("config",), donate_argnames=("state",))
def decode_chunk(
    params: Params, config: ModelConfig, state: DecodeState, requests: Requests, steps
) -> tuple[DecodeState, jax.Array, jax.Array | None, jax.Array]:
    """Up to `steps` (at most CHUNK) more tokens of each row, int32[B, CHUNK], their log-probabilities where the state has some, and how
    many there are: fewer if all rows are done."""

    def more(carry):
        state, *_, i = carry
        return (i < steps) & ~jnp.all(state.done_B)

    def step(carry):
        state, tokens_BC, logprob_BC, i = carry
        state = decode_step(params, config, state, requests)
        return state, written(tokens_BC, state.token_B, i), written(logprob_BC, state.logprob_B, i), i + 1

    def written(all_BC, new_B, i):
        return None if all_BC is None else jax.lax.dynamic_update_slice(all_BC, new_B[:, None], (0, i))

    shape = state.token_B.shape[0], CHUNK
    logprob_BC = None if state.logprob_B is None else jnp.zeros(shape, jnp.float32)
    return jax.lax.while_loop(more, step, (state, jnp.zeros(shape, jnp.int32), logprob_BC, jnp.int32(0)))


def decode_step(params: Params, config: ModelConfig, state: DecodeState, requests: Requests) -> DecodeState:
    """One more token of each row."""
    x_B1D, cache, _ = forward(params, config, state.token_B[:, None], cache=state.cache)
    assert cache is not None
    token_B, logprob_B = next_token(params, config, x_B1D, cache.length_B, requests, state.logprob_B is not None)
    return DecodeState(cache, token_B, state.done_B | (token_B == requests.end_of_text), logprob_B)


def next_token(
    params: Params, config: ModelConfig, x_B1D: jax.Array, position_B: jax.Array, requests: Requests, scored: bool
) -> tuple[jax.Array, jax.Array | None]:
    """The token that each row writes at `position_B`, int32[B]; `scored`: and its log-probability, f32[B]."""
    logits_BV = logits(params, config, x_B1D)[:, 0]
    logits_BV = jax.lax.cond(requests.vocab < config.vocab, lambda: only_tokens(logits_BV, requests.vocab), lambda: logits_BV)
    keys_B = position_keys(requests.key_B, position_B)
    token_B = sample(logits_BV, keys_B, requests.temperature_B, requests.top_k_B, requests.top_p_B)
    if not scored:
        return token_B, None
    logprob_BV = jax.nn.log_softmax(scale(logits_BV, requests.temperature_B))
    return token_B, jnp.take_along_axis(logprob_BV, jnp.minimum(token_B, config.vocab - 1)[:, None], 1)[:, 0]


def only_tokens(logits_BV: jax.Array, vocab: jax.Array) -> jax.Array:
    """The logits with -inf for ids that are no token."""
    return jnp.where(jnp.arange(logits_BV.shape[1]) < vocab, logits_BV, -jnp.inf)
