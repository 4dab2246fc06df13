"""The peers' side of train_step.py: a GPT in plain PyTorch and Hugging Face's, each timed a step at a time.

Runs in the peers' own environment: `python torch_gpt.py LAYERS EMBED HEADS CONTEXT BATCH VOCAB MODE`; a line on standard input asks for
a step, a line on standard output gives its seconds.
"""

import contextlib
import sys
import warnings

import torch
import torch.nn.functional as F
from side import answer_lines
from torch import nn

warnings.filterwarnings("ignore")


class Block(nn.Module):
    """Pre-norm, `scaled_dot_product_attention`, gelu by tanh."""

    def __init__(self, embed: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(embed), nn.LayerNorm(embed)
        self.qkv, self.out = nn.Linear(embed, 3 * embed), nn.Linear(embed, embed)
        self.up, self.down = nn.Linear(embed, 4 * embed), nn.Linear(4 * embed, embed)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, D)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class GPT(nn.Module):
    """The same shape as Tenfold's: learned positions, tied embeddings."""

    def __init__(self, layers, embed, heads, context, vocab):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, embed), nn.Embedding(context, embed)
        self.blocks = nn.ModuleList(Block(embed, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(embed)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, 0, 0.02)

    def forward(self, x, y):
        h = self.tokens(x) + self.positions.weight
        for block in self.blocks:
            h = block(h)
        logits = F.linear(self.norm(h), self.tokens.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]).float(), y.view(-1))


class HuggingFace(nn.Module):
    """transformers' GPT2LMHeadModel, dropout off, its fastest attention."""

    def __init__(self, layers, embed, heads, context, vocab):
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        dropout = dict(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
        shape = dict(vocab_size=vocab, n_positions=context, n_embd=embed, n_layer=layers, n_head=heads)
        self.model = GPT2LMHeadModel(GPT2Config(**shape, **dropout, attn_implementation="sdpa", use_cache=False))

    def forward(self, x, y):
        return self.model(x, labels=y).loss


def make_step(layers, embed, heads, context, batch, vocab, mode: str):
    """One training step: forward, backward, clip, fused AdamW. `mode` is made of: hf, compile, autocast or bf16 (weights too)."""
    torch.manual_seed(0)
    model = (HuggingFace if "hf" in mode else GPT)(layers, embed, heads, context, vocab)
    model = model.bfloat16() if "bf16" in mode else model
    compiled = torch.compile(model) if "compile" in mode else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    x, y = torch.randint(0, vocab, (batch, context)), torch.randint(0, vocab, (batch, context))
    cast = torch.autocast("cpu", torch.bfloat16) if "autocast" in mode else contextlib.nullcontext()

    def step() -> float:
        with cast:
            loss = compiled(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    step = make_step(*map(int, sys.argv[1:7]), sys.argv[7])
    step(), step()

    def work(_: str) -> list[int]:
        step()
        return []

    answer_lines(work, f"torch {torch.__version__}")
