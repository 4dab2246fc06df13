"""LongNet's dilated attention on this machine: each figure of docs/longnet.md by one command.

python benchmarks/longnet.py linear      time and memory from 8 thousand positions to 4 million, beside dense attention
python benchmarks/longnet.py compare --torchscale CHECKOUT --peers-python PATH_TO_A_PYTHON_WITH_TORCH_AND_EINOPS
python benchmarks/longnet.py stream OUT  a layer over 2^30 tokens, out of core, checked against the equations
python benchmarks/longnet.py plan        the training step at that length, compiled for TPU pods (needs tenfold[plan])
"""

import argparse
import os
import sys
from pathlib import Path

import longnet_plan
import longnet_speed
import longnet_stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    linear = commands.add_parser("linear", help="how time and memory grow")
    linear.add_argument("--heads", type=int, default=4)
    linear.add_argument("--lengths", type=int, nargs="*", default=[2**n for n in range(13, 23)])
    linear.add_argument("--dense-lengths", type=int, nargs="*", default=[2**n for n in range(12, 15)], help="32,768 take 39 GB")
    linear.add_argument("--longest-both", type=int, default=2**20, help="the longest whose backward pass is run")
    linear.add_argument("--runs", type=int, default=3)
    compare = commands.add_parser("compare", help="beside torchscale")
    compare.add_argument("--torchscale", help="a checkout of github.com/microsoft/torchscale")
    compare.add_argument("--peers-python", default=os.environ.get("PEERS_PYTHON"), help="a Python that has torch and einops")
    compare.add_argument("--heads", type=int, default=12)
    compare.add_argument("--length", type=int, default=32768)
    compare.add_argument("--jobs", nargs="+", choices=("forward", "both"), default=["forward", "both"], help="both: with the backward pass")
    compare.add_argument("--runs", type=int, default=5)
    stream = commands.add_parser("stream", help="one layer forward, out of core; goes on where it was stopped")
    stream.add_argument("out", type=Path, help="a folder")
    for name, default in vars(longnet_stream.Layer()).items():
        stream.add_argument(f"--{name}", type=int, default=default)
    stream.add_argument("--rows", type=int, default=1000, help="outputs checked against the equations in NumPy")
    plan = commands.add_parser("plan", help="what each chip of a pod would hold")
    plan.add_argument("--chips", type=int, nargs="+", choices=longnet_plan.TOPOLOGIES, default=[2048])
    plan.add_argument("--context", type=int, default=2**30)
    plan.add_argument(
        "--attention", default="dilated:2048x1,524288x256,1073741824x524288", help="the paper's three segments of its own test"
    )
    plan.add_argument("--layers", type=int, default=12)
    plan.add_argument("--chunk", type=int, default=8192, help="model.chunk: positions that go through projections and feed-forward at once")
    plan.add_argument("--remat", choices=("none", "block", "rounded"), default="rounded", help="model.remat: what the backward pass keeps")
    options = vars(parser.parse_args())
    command = options.pop("command")
    if command == "linear":
        longnet_speed.linear(**options)
    elif command == "compare":
        if not options["torchscale"] or not options["peers_python"]:
            sys.exit("Name a checkout of torchscale and a Python that has torch and einops: --torchscale PATH --peers-python PATH.")
        longnet_speed.compare(**options)
    elif command == "plan":
        longnet_plan.plan(**options)
    else:
        out, rows = options.pop("out"), options.pop("rows")
        longnet_stream.stream(longnet_stream.Layer(**options), out, rows)


if __name__ == "__main__":
    main()
