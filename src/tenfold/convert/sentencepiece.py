"""SentencePiece's BPE as merges.

SentencePiece joins the neighbours whose joint token has the best score; a tokenizer.json has ranked pairs instead. Each pair of tokens
that make a token is a merge, and the better the score of what it makes, the earlier it comes. Source: the bigram search of
llm_tokenizer_spm_session in llama.cpp's src/llama-vocab.cpp.
"""

from collections.abc import Iterable


def merges_by_score(tokens: list[str], scores: list[float], targets: Iterable[int]) -> list[list[str]]:
    """Pairs of tokens (or of letters without one) whose joint text is one of the tokens `targets`, best score first."""
    known = set(tokens)
    ranked = [
        (-scores[id], id, at) for id in targets for at in range(1, len(tokens[id])) if tokens[id][:at] in known and tokens[id][at:] in known
    ]
    return [[tokens[id][:at], tokens[id][at:]] for _, id, at in sorted(ranked)]
