"""What `longnet.py compare` runs in the peer's own environment: torchscale's DilatedAttention on the CPU.

    python longnet_peer.py TORCHSCALE HEADS LENGTH watched|timed

Needs torch and einops. TORCHSCALE is a checkout of github.com/microsoft/torchscale, whose release on PyPI lacks the module. The module asks
for a CUDA kernel; here it has the one that torch has for CPUs, which returns the result and the log-sum-exp as that does. The projections
are left out, so that attention alone is measured.
"""

import importlib
import sys
import types

from side import answer_lines
from side_memory import forget_peak, peak_megabytes

PAPERS = ("[2048,4096,8192,16384,32768]", "[1,2,4,6,12]")
WIDTH = 64


def cpu_flash(q, k, v, dropout=0.0, bias=None, softmax_scale=None, is_causal=False):
    import torch

    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, dropout, is_causal, scale=softmax_scale)
    return out.transpose(1, 2), logsumexp


def serve(checkout: str, heads: int, length: int, watched: bool) -> None:
    import torch

    sys.path.insert(0, checkout)
    stub = types.ModuleType("torchscale.component.flash_attention")
    stub.flash_attn_func = cpu_flash
    sys.modules[stub.__name__] = stub
    architecture = importlib.import_module("torchscale.architecture.config")
    component = importlib.import_module("torchscale.component.dilated_attention")
    settings = architecture.DecoderConfig(flash_attention=True, segment_length=PAPERS[0], dilated_ratio=PAPERS[1], multiway=False)
    layer = component.DilatedAttention(settings, WIDTH * heads, heads, self_attention=True)
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        setattr(layer, name, torch.nn.Identity())
    torch.manual_seed(0)
    q, k, v, g = (torch.randn(1, length, WIDTH * heads).bfloat16() for _ in range(4))

    def work(job: str) -> list[int]:
        if watched:
            forget_peak()
        if job == "forward":
            with torch.no_grad():
                layer(q, k, v, is_causal=True)
        else:
            operands = [x.detach().requires_grad_() for x in (q, k, v)]
            layer(*operands, is_causal=True)[0].backward(g)
        return [peak_megabytes() if watched else 0]

    answer_lines(work, torch.__version__)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "watched")
