"""benchmarks/longnet_stream.py, small: a layer over 2^16 tokens in chunks, killed and continued, beside the equations."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import longnet_stream as stream  # noqa: E402

LAYER = stream.Layer(tokens=2**16, chunk=2**14, heads=2, width=4, segment=64, ratio=4)


def test_a_killed_layer_goes_on_to_the_same_bytes_and_they_are_the_papers(tmp_path):
    """Segments of 65,536 reach over all chunks; a kill leaves half a chunk behind. f16 rounds numbers of this size by 1e-3 at most."""
    stream.run(LAYER, tmp_path / "whole")
    stream.run(LAYER, tmp_path / "killed", stop_after=2)
    assert stream.chunks_done(LAYER, tmp_path / "killed") == 2
    stream.run(LAYER, tmp_path / "killed")
    whole, killed = ((tmp_path / name / "outputs.f16").read_bytes() for name in ("whole", "killed"))
    assert len(whole) == 2**16 * 2 * 4 * 2 and whole == killed
    worst, largest = stream.check(LAYER, tmp_path / "whole", 100)
    assert worst < 2e-3 < 0.5 < largest < 4
    with pytest.raises(SystemExit, match="of other settings"):
        stream.run(replace(LAYER, seed=1), tmp_path / "killed")


def test_a_length_that_is_no_segment_is_refused():
    with pytest.raises(SystemExit, match="must be segments of the schedule"):
        stream.Layer(tokens=2**16 + 1)
