"""LongNet's dilated attention on this machine: each figure of docs/longnet.md by one command.

python benchmarks/longnet.py stream OUT            a layer over 2^30 tokens, out of core, checked against the equations
"""

import argparse
from pathlib import Path

import longnet_stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    stream = commands.add_parser("stream", help="one layer forward, out of core; goes on where it was stopped")
    stream.add_argument("out", type=Path, help="a folder")
    for name, default in vars(longnet_stream.Layer()).items():
        stream.add_argument(f"--{name}", type=int, default=default)
    stream.add_argument("--rows", type=int, default=1000, help="outputs checked against the equations in NumPy")
    options = vars(parser.parse_args())
    if options.pop("command") == "stream":
        out, rows = options.pop("out"), options.pop("rows")
        longnet_stream.stream(longnet_stream.Layer(**options), out, rows)


if __name__ == "__main__":
    main()
