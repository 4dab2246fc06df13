"""Makes tests/golden/families/: a tiny checkpoint of every family we import, as the Hugging Face library writes it, and what it computes.

Written by transformers 5.23.0 on PyTorch 2.13.0, CPU, f32 (each expected.npz says so under `library`). Not run by the tests: it needs
torch and transformers, which Tenfold does not. To make it anew, in an environment with both:

    python tests/golden/families.py           # every case
    python tests/golden/families.py t5 bert   # these only

families/README.md says what each directory holds. Every case has its own seed, so that a case more or less leaves the others as they
are. Weights, biases, gains and norms' epsilons are far from their usual values, so that nothing that is swapped, transposed, left out or
taken for a default goes unseen. What is expected comes from the model read back from its directory: the files alone suffice.
"""

import json
import shutil
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers

HERE = Path(__file__).with_suffix("")
ROWS, LENGTH, DECODER_LENGTH, VOCAB = 2, 24, 10, 64


@dataclass(frozen=True)
class Case:
    """A model class of transformers and the settings of its config; `gradients`: also save the loss and its slope in every weight."""

    model: type
    settings: dict
    gradients: bool = False
    untied: bool = False
    attention: str = "eager"


ENDS = dict(bos_token_id=0, eos_token_id=0)  # the defaults of the GPTs lie beyond our vocabulary
GPT2 = ENDS | dict(vocab_size=VOCAB, n_positions=32, n_embd=16, n_layer=2, n_head=4, layer_norm_epsilon=1e-3)
GPT2 |= dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
GPT_NEO = ENDS | dict(
    vocab_size=VOCAB,
    max_position_embeddings=32,
    hidden_size=16,
    num_layers=2,
    num_heads=4,
    attention_types=[[["global", "local"], 1]],
    window_size=6,  # shorter than the rows, or local attention would be global
    layer_norm_epsilon=2e-3,
)
# Heads of 6, 4 of them turned: with 2 there would be one angle only, and no telling pairs from halves.
GPT_J = ENDS | dict(vocab_size=VOCAB, n_positions=32, n_embd=24, n_layer=2, n_head=4, n_inner=40, rotary_dim=4, layer_norm_epsilon=1e-3)
GPT_NEOX = dict(
    vocab_size=VOCAB,
    max_position_embeddings=32,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,  # heads of 8, so that a half of one still has two angles
    intermediate_size=40,
    rotary_pct=0.5,
    layer_norm_eps=2e-3,
)
LLAMA = dict(
    vocab_size=VOCAB,
    max_position_embeddings=64,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=28,
    rms_norm_eps=1e-3,
    tie_word_embeddings=False,
)
TWO_KV_HEADS = LLAMA | dict(num_key_value_heads=2)
FALCON = dict(vocab_size=VOCAB, max_position_embeddings=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=4)
FALCON |= dict(layer_norm_epsilon=1e-3)
BERT = dict(
    vocab_size=VOCAB,
    max_position_embeddings=32,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=40,
    hidden_act="gelu",
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    layer_norm_eps=1e-3,
)
T5 = dict(
    vocab_size=VOCAB,
    d_model=16,
    d_kv=6,  # 4 heads of 6 are 24 wide: not d_model
    d_ff=28,
    num_layers=2,
    num_heads=4,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=20,
    dropout_rate=0.0,
    layer_norm_epsilon=1e-3,
)

CASES = {
    "gpt2": Case(transformers.GPT2LMHeadModel, GPT2, gradients=True),
    "gpt_neo": Case(transformers.GPTNeoForCausalLM, GPT_NEO, gradients=True),
    "gpt_j": Case(transformers.GPTJForCausalLM, GPT_J),
    "gpt_neox": Case(transformers.GPTNeoXForCausalLM, GPT_NEOX | dict(use_parallel_residual=True)),
    "gpt_neox_sequential": Case(transformers.GPTNeoXForCausalLM, GPT_NEOX | dict(use_parallel_residual=False)),
    "llama": Case(transformers.LlamaForCausalLM, LLAMA, gradients=True),
    "llama_gqa": Case(
        transformers.LlamaForCausalLM,
        TWO_KV_HEADS | dict(head_dim=8, rope_theta=1e5, rms_norm_eps=1e-6, tie_word_embeddings=True),
    ),
    "mistral": Case(transformers.MistralForCausalLM, TWO_KV_HEADS | dict(sliding_window=7)),
    "mixtral": Case(transformers.MixtralForCausalLM, TWO_KV_HEADS | dict(num_local_experts=4, num_experts_per_tok=2)),
    "qwen2": Case(transformers.Qwen2ForCausalLM, TWO_KV_HEADS | dict(rope_theta=1e6)),
    "falcon_7b": Case(
        transformers.FalconForCausalLM,
        FALCON | dict(multi_query=True, parallel_attn=True, new_decoder_architecture=False, alibi=False, bias=False),
    ),
    "falcon_new": Case(transformers.FalconForCausalLM, FALCON | dict(new_decoder_architecture=True, num_kv_heads=2)),
    "falcon_alibi": Case(
        transformers.FalconForCausalLM,
        FALCON | dict(multi_query=False, parallel_attn=False, new_decoder_architecture=False, alibi=True, bias=True),
        attention="sdpa",  # eager attention of transformers 5.23.0 adds ALiBi twice: to the scores and in the mask
    ),
    "bert": Case(transformers.BertForMaskedLM, BERT),
    "t5": Case(transformers.T5ForConditionalGeneration, T5 | dict(feed_forward_proj="relu", tie_word_embeddings=True)),
    "t5_gated": Case(
        transformers.T5ForConditionalGeneration,
        T5 | dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
        untied=True,
    ),
}


def main(names: list[str]) -> None:
    torch.set_num_threads(1)  # sums in the same order on every machine of a kind
    for name in names or CASES:
        write(name, CASES[name])
    if not names or "llama" in names:
        write_sharded("llama", "llama_sharded")


def write(name: str, case: Case) -> None:
    random = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    built = build(case, random)
    directory = HERE / name
    save(built, directory)
    if case.untied:
        say_untied(directory)
    model = read_back(case, directory)
    assert_same_weights(built, model)
    inputs = {"tokens": torch.randint(VOCAB, (ROWS, LENGTH), generator=random)}
    if model.config.is_encoder_decoder:
        inputs["decoder_tokens"] = torch.randint(VOCAB, (ROWS, DECODER_LENGTH), generator=random)
    arrays = {key: tokens.numpy().astype(np.int32) for key, tokens in inputs.items()} | expected(model, inputs)
    if case.gradients:
        arrays |= loss_and_gradients(model, inputs["tokens"])
    library = f"transformers {transformers.__version__}, torch {torch.__version__}"
    np.savez(directory / "expected.npz", **arrays, library=np.array(library))


def build(case: Case, random: torch.Generator) -> torch.nn.Module:
    model = case.model(case.model.config_class(**case.settings)).float()
    if case.untied:
        # transformers 5 ties T5's head whatever the config says, and T5 1.1 is not tied; on reading it does keep apart what differs.
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=random)
            if id(weight) in embeddings:
                weight.copy_(0.5 * noise)
            elif weight.ndim == 1 and name.endswith("weight"):  # a norm's gain: no other weight has one axis
                weight.copy_(1 + 0.2 * noise)
            else:
                weight.copy_(0.25 * noise)
    return model


def save(model: torch.nn.Module, directory: Path, **settings) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory, **settings)
    (directory / "generation_config.json").unlink(missing_ok=True)


def say_untied(directory: Path) -> None:
    """Makes config.json say what those of T5 1.1 say. transformers 5 puts `scale_decoder_outputs` false and calls the head tied."""
    path = directory / "config.json"
    config = json.loads(path.read_text()) | {"tie_word_embeddings": False}
    del config["scale_decoder_outputs"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def read_back(case: Case, directory: Path) -> torch.nn.Module:
    model = case.model.from_pretrained(directory, attn_implementation=case.attention, dtype=torch.float32)
    if hasattr(model.config, "num_local_experts"):
        model.set_experts_implementation("eager")
    return model.eval()  # and so without dropout


def assert_same_weights(built: torch.nn.Module, read: torch.nn.Module) -> None:
    built_weights, read_weights = dict(built.named_parameters()), dict(read.named_parameters())
    assert built_weights.keys() == read_weights.keys(), built_weights.keys() ^ read_weights.keys()
    for name, weight in built_weights.items():
        assert torch.equal(weight, read_weights[name]), f"{name} came back changed"


@torch.no_grad()
def expected(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    tokens = inputs["tokens"]
    named = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}  # said, lest a padding token be taken for padding
    if "decoder_tokens" in inputs:
        found = model(**named, decoder_input_ids=inputs["decoder_tokens"])
        return {"logits": found.logits.numpy(), "hidden": found.encoder_last_hidden_state.numpy()}
    if model.config.model_type == "bert":
        found = model(**named, output_hidden_states=True)
        return {"logits": found.logits.numpy(), "hidden": found.hidden_states[-1].numpy()}
    return {"logits": model(**named).logits.numpy()}


def loss_and_gradients(model: torch.nn.Module, tokens: torch.Tensor) -> dict[str, np.ndarray]:
    """The mean cross-entropy of the 2 x 23 next tokens, and its gradient; a tied head's is part of the embedding's."""
    logits = model(input_ids=tokens).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, VOCAB), tokens[:, 1:].reshape(-1))
    loss.backward()
    return {"loss": loss.detach().numpy()} | {f"grad/{name}": weight.grad.numpy() for name, weight in model.named_parameters()}


def write_sharded(source: str, name: str) -> None:
    """`source` again in several files under an index: the same weights and config, so what is expected of it is in `source`."""
    model = read_back(CASES[source], HERE / source)
    save(model, HERE / name, max_shard_size="16KB")
    assert len(list((HERE / name).glob("model-*.safetensors"))) > 1


if __name__ == "__main__":
    main(sys.argv[1:])
