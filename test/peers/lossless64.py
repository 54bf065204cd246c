"""Whether grown folders compute in transformers, in float64, what their source computes there.

Usage: lossless64.py SOURCE GROWN...  Prints one JSON object a grown folder: the largest difference of the logits as a share
of the largest; what is allowed, 1e-6 or twice what rounding the grown weights to float32 could cost (measured: the weights
moved by half a unit in their last place, at random signs); loading's complaints.
"""
import json
import sys
from pathlib import Path

import torch
import transformers

transformers.logging.set_verbosity_error()
GENERATOR = torch.Generator().manual_seed(3)


def opened(folder):
    config = json.loads((Path(folder) / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    model, info = cls.from_pretrained(folder, output_loading_info=True, dtype=torch.float32, attn_implementation="eager")
    keys = {key: sorted(map(str, info[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    return model.double().eval(), keys


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


source, _ = opened(sys.argv[1])
ids = torch.randint(5, source.config.vocab_size, (3, 20), generator=GENERATOR)
before = logits(source, ids)
for path in map(Path, sys.argv[2:]):
    grown, info = opened(path)
    after = logits(grown, ids)
    with torch.no_grad():
        for p in grown.parameters():
            p.add_(p.abs() * 2.0**-24 * torch.randint(0, 2, p.shape, generator=GENERATOR).mul(2).sub(1))
    rounding = float((logits(grown, ids) - after).abs().max() / before.abs().max())
    share = float((after - before).abs().max() / before.abs().max())
    print(json.dumps({"case": path.name, "share": share, "allowed": max(1e-6, 2 * rounding), **info}))
