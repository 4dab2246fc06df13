"""What can be cut over positions (the mesh axis `sequence`), and what is refused. Imports no JAX."""

from tenfold.errors import UserError
from tenfold.model.config import Dilated, ModelConfig


def check_sequence(config: ModelConfig, length: int, parts: int) -> None:
    """Refuses a model that rows of `length` positions, cut in `parts`, cannot be given to, with the arithmetic."""
    if parts == 1:
        return
    if length % parts:
        raise UserError(
            f"mesh.sequence is {parts}, which does not divide rows of {length} positions: {length} = {length // parts} x {parts} + "
            f"{length % parts}.\n  Use model.context {length + parts - length % parts}"
            + (f" or {length - length % parts}" if length > parts else "")
            + ", or a mesh.sequence that divides it."
        )
    if config.positions == "relative" or config.encoder_layers or config.experts:
        what = (
            f"model.experts is {config.experts}, whose tokens are chosen among whole rows"
            if config.experts
            else f"model.encoder_layers is {config.encoder_layers}: encoder-decoders attend to whole rows"
            if config.encoder_layers
            else "model.positions is 'relative', a bias for every pair of positions of a row"
        )
        raise UserError(f"mesh.sequence is {parts}, but {what}.\n  Use mesh.data, mesh.fsdp or mesh.tensor.")
    for kind in config.kinds:
        if isinstance(kind, Dilated):
            _check_segments(kind, length, parts)


def _check_segments(kind: Dilated, length: int, parts: int) -> None:
    """Refuses segments whose borders do not fall together with those of shards."""
    shard = length // parts
    for w in kind.segments:
        if _together(w, length, parts):
            continue
        shorter, longer = sorted((w, shard))
        near = round(w / shard) * shard if w > shard else next(n for n in range(w, 0, -1) if shard % n == 0)
        fits = [n for n in range(1, parts) if length % n == 0 and all(_together(s, length, n) for s in kind.segments)]
        raise UserError(
            f"mesh.sequence {parts} cuts rows of {length} positions into shards of {shard}, and model.attention has segments of {w}: "
            f"{longer} = {longer // shorter} x {shorter} + {longer % shorter}, so that their borders do not fall together.\n"
            f"  Use a segment of {near}, or mesh.sequence {max(fits, default=1)}."
        )


def _together(w: int, length: int, parts: int) -> bool:
    """Whether segments lie within shards or are made of whole ones."""
    shorter, longer = sorted((min(w, length), length // parts))
    return longer % shorter == 0
