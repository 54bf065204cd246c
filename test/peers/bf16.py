"""What grown folders in BF16 compute in transformers, in float64, beside their source, and what their rounding costs.

Usage: bf16.py INPUTS SOURCE GROWN...  Each GROWN has its like in float32 beside it, GROWN-f32. Prints one JSON object a
grown folder: `share`, the largest difference of the logits from the source's as a share of the largest; `costs`, that
between the folder in float32 and its weights cast to BF16 by PyTorch.
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
inputs = {name: tensor.long() for name, tensor in load_file(sys.argv[1]).items()}


def logits(folder, cast=False):
    config = json.loads((Path(folder) / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    model = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        if cast:
            for p in model.parameters():
                p.copy_(p.bfloat16().float())
        return model.double()(**inputs).logits


def share(a, b, scale):
    return float((a - b).abs().max() / scale.abs().max())


source = logits(sys.argv[2])
for path in sys.argv[3:]:
    exact = logits(path + "-f32")
    costs = share(logits(path + "-f32", cast=True), exact, source)
    print(json.dumps({"share": share(logits(path), source, source), "before": share(exact, source, source), "costs": costs}))
