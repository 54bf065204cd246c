"""An independent account of growth in width and depth, in PyTorch, written from the method's formulas: nothing of it is
derived from the tables under src/. Compares a grown folder with it weight by weight, opens the folder in transformers,
and compares logits.

Usage: growth.py FOLDER SOURCE...; FOLDER holds CASE/growth.json, CASE/model.safetensors…, beside each case
CASE.inputs.safetensors (input_ids, attention_mask) and CASE.logits.safetensors (what the package's own engine computes).
Prints one JSON object a case.
"""
import json
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig
import transformers

transformers.logging.set_verbosity_error()


def axes(name):
    """(axis, role) of each dimension: which units it makes (out) or reads (in). None: it never grows."""
    stream, units, inner = ("hidden", "out"), ("heads", "out"), ("ffn", "out")
    from_stream, from_units, from_inner = ("hidden", "in"), ("heads", "in"), ("ffn", "in")
    patterns = [
        # BERT and RoBERTa: nn.Linear, [out, in].
        (r"embeddings\.(word|position|token_type)_embeddings\.weight", [None, stream]),
        (r"attention\.self\.(query|key|value)\.weight", [units, from_stream]),
        (r"attention\.self\.(query|key|value)\.bias", [units]),
        (r"attention\.output\.dense\.weight", [stream, from_units]),
        (r"attention\.output\.dense\.bias", [stream]),
        (r"intermediate\.dense\.weight", [inner, from_stream]),
        (r"intermediate\.dense\.bias", [inner]),
        (r"layer\.\d+\.output\.dense\.weight", [stream, from_inner]),
        (r"layer\.\d+\.output\.dense\.bias", [stream]),
        (r"(embeddings|output)\.LayerNorm\.(weight|bias)", [stream]),
        (r"pooler\.dense\.weight", [("pooler", "out"), from_stream]),
        (r"pooler\.dense\.bias", [("pooler", "out")]),
        (r"seq_relationship\.weight", [None, ("pooler", "in")]),
        (r"seq_relationship\.bias", [None]),
        # The transform's units are read by the tied decoder, so it uses the stream's map, and its norm shares.
        (r"(transform\.dense|lm_head\.dense)\.weight", [stream, from_stream]),
        (r"(transform\.dense|lm_head\.dense)\.bias", [stream]),
        (r"(transform\.LayerNorm|lm_head\.layer_norm)\.(weight|bias)", [from_stream]),
        (r"(cls\.predictions|lm_head)\.bias", [None]),
        # GPT-2: Conv1D, [in, out].
        (r"wte\.weight|wpe\.weight", [None, stream]),
        (r"ln_[12]\.(weight|bias)", [stream]),
        (r"ln_f\.(weight|bias)", [from_stream]),
        (r"attn\.c_attn\.weight", [from_stream, units]),
        (r"attn\.c_attn\.bias", [units]),
        (r"attn\.c_proj\.weight", [from_units, stream]),
        (r"attn\.c_proj\.bias", [stream]),
        (r"mlp\.c_fc\.weight", [from_stream, inner]),
        (r"mlp\.c_fc\.bias", [inner]),
        (r"mlp\.c_proj\.weight", [from_inner, stream]),
        (r"mlp\.c_proj\.bias", [stream]),
    ]
    found = [dims for pattern, dims in patterns if re.search(pattern + "$", name)]
    assert len(found) == 1, (name, found)
    return found[0]


def is_fused(name):
    return "c_attn" in name


def layer_of(name):
    found = re.search(r"(?:layer|h)\.(\d+)\.", name)
    return None if found is None else int(found.group(1))


def at_layer(name, layer):
    return re.sub(r"((?:layer|h)\.)\d+\.", rf"\g<1>{layer}.", name)


class Width:
    def __init__(self, source, record):
        self.source = source
        self.layers = record["source"]["dimensions"]["layers"]
        self.g = {}
        head_width = record["source"]["dimensions"]["headWidth"]
        for axis, entry in record["maps"].items():
            of, n = torch.tensor(entry["of"]), entry["source"]
            assert of[:n].tolist() == list(range(n))
            if record["map"] == "cyclic":
                assert of.tolist() == [j % n for j in range(len(of))]
            if record["map"] == "shuffled":
                for start in range(0, len(of), n):
                    part = of[start : start + n].tolist()
                    assert len(set(part)) == len(part)
            if axis == "heads":
                of = (of[:, None] * head_width + torch.arange(head_width)).reshape(-1)
                n *= head_width
            self.g[axis] = (of, n)
        self.method = record["method"]["name"]
        self.options = record["method"]["options"]

    def parts(self, name, tensor):
        """A fused c_attn is q, k and v side by side along its last dimension."""
        return tensor.chunk(3, dim=-1) if is_fused(name) else [tensor]

    def fpi(self, name, layer=None, roles=("out", "in")):
        tensor = self.source[name if layer is None else at_layer(name, layer)]
        grown = []
        for part in self.parts(name, tensor):
            for d, dim in enumerate(axes(name)):
                if dim is None or dim[1] not in roles:
                    continue
                of, n = self.g[dim[0]]
                part = part.index_select(d, of)
                if dim[1] == "in":
                    counts = torch.bincount(of, minlength=n)[of].to(part.dtype)
                    part = part / counts.reshape([-1 if i == d else 1 for i in range(part.dim())])
            grown.append(part)
        return torch.cat(grown, dim=-1)

    def aki(self, name):
        layer = layer_of(name)
        own = self.fpi(name)
        if layer is None or layer + 1 >= self.layers:
            return own
        dims = axes(name)
        if self.options["scope"] == "all":
            outs = [d for d, dim in enumerate(dims) if dim is not None and dim[1] == "out"]
        else:
            outs = [d for d, dim in enumerate(dims) if dim in [("heads", "out"), ("ffn", "out")]]
            if self.options["readout"] == "upper":
                outs += [d for d, dim in enumerate(dims) if dim in [("heads", "in"), ("ffn", "in")]]
        if not outs:
            return own
        assert len(outs) == 1
        d = outs[0]
        of, n = self.g[dims[d][0]]
        above = self.fpi(name, layer + 1)
        result = []
        for low, high in zip(self.parts(name, own), self.parts(name, above)):
            result.append(torch.cat([low.narrow(d, 0, n), high.narrow(d, n, len(of) - n)], dim=d))
        return torch.cat(result, dim=-1)

    def direct(self, name, grown, init_std):
        """Checks the corner and the rest of a tensor that is partly random; returns it."""
        whole, own = self.parts(name, grown), self.parts(name, self.source[name])
        for big, small in zip(whole, own):
            assert torch.equal(big[tuple(slice(0, n) for n in small.shape)], small), f"{name}: corner"
            rest = torch.ones_like(big, dtype=torch.bool)
            rest[tuple(slice(0, n) for n in small.shape)] = False
            new = big[rest]
            if new.numel() == 0:
                continue
            if name.endswith("bias"):
                assert (new == 0).all(), f"{name}: new biases"
            elif big.dim() == 1:
                assert (new == 1).all(), f"{name}: new gains"
            else:
                std = init_std(name)
                new = new[new != 0]  # The padding id's row.
                error = std / new.numel() ** 0.5
                assert abs(new.mean()) < 6 * error, f"{name}: mean {new.mean()}"
                assert abs(new.std() - std) < 6 * error, f"{name}: std {new.std()}"
        return grown


def layers_of(rule, s, t):
    """For each target layer: (source layer, whether it is new)."""
    if t == s:
        return [(l, False) for l in range(s)]
    if rule == "stack":
        order = list(range(s)) * (t // s) + list(range(s - t % s, s))
        return [(l, i >= s) for i, l in enumerate(order)]
    if rule == "interleave":
        order = [l * s // t for l in range(t)]
        return [(l, i > 0 and order[i - 1] == l) for i, l in enumerate(order)]
    n = t - s
    after = [-(-(i + 1) * s // n) for i in range(n)]  # Blocks counted from 1.
    order = []
    for block in range(1, s + 1):
        order.append((block - 1, False))
        order += [(block - 1, True)] * after.count(block)
    return order


def check(case, sources):
    record = json.loads((case / "growth.json").read_text())
    source_folder = None
    for folder in sources:
        config = json.loads((Path(folder) / "config.json").read_text())
        if config["model_type"] == json.loads((case / "config.json").read_text())["model_type"]:
            source_folder = Path(folder)
    source = {k: v.float() for k, v in load_file(source_folder / "model.safetensors").items()}
    source = {k: v for k, v in source.items() if not re.search(r"decoder\.(weight|bias)$|position_ids$|^lm_head\.weight$", k)}
    grown = load_file(case / "model.safetensors")
    dtype = next(iter(grown.values())).dtype
    width = Width(source, record)
    s, t = record["source"]["dimensions"]["layers"], record["target"]["dimensions"]["layers"]
    rule = record["depth"]["rule"]
    order = layers_of(rule, s, t)
    config = json.loads((case / "config.json").read_text())
    gpt2 = config["model_type"] == "gpt2"

    def init_std(name):
        std = config["initializer_range"]
        return std / (2 * t) ** 0.5 if gpt2 and name.endswith("c_proj.weight") else std

    expected = {}
    widened = {}
    for name in source:
        if width.method == "direct":
            low = name if layer_of(name) is None else at_layer(name, [l for l, _ in order].index(layer_of(name)))
            widened[name] = width.direct(name, grown[low].float(), init_std)
        else:
            widened[name] = width.fpi(name) if width.method == "fpi" else width.aki(name)
    for name, tensor in widened.items():
        if layer_of(name) is None:
            expected[name] = tensor
    for name, tensor in widened.items():
        for layer, (origin, new) in enumerate(order):
            if layer_of(name) != origin:
                continue
            value = tensor
            if rule == "zero" and t > s:
                if new and re.search(r"(attention\.output\.dense|layer\.\d+\.output\.dense|c_proj)\.(weight|bias)$", name):
                    value = torch.zeros_like(tensor)
                followed = layer + 1 < t and order[layer + 1][1]
                first = re.search(r"attention\.output\.LayerNorm\.", name) is not None
                last = re.search(r"layer\.\d+\.output\.LayerNorm\.", name) is not None
                if (last and followed) or (first and new):
                    value = torch.ones_like(tensor) if name.endswith("weight") else torch.zeros_like(tensor)
            expected[at_layer(name, layer)] = value
    assert set(expected) == set(grown), set(expected) ^ set(grown)
    different = [name for name in expected if not torch.equal(expected[name].to(dtype), grown[name])]

    cls = getattr(transformers, config["architectures"][0])
    model, info = cls.from_pretrained(case, output_loading_info=True, dtype=torch.float32)
    model.eval()
    assert AutoConfig.from_pretrained(case).architectures == config["architectures"]
    inputs = load_file(f"{case}.inputs.safetensors")
    with torch.no_grad():
        out = model(**{k: v.long() for k, v in inputs.items()})
    logits = out.prediction_logits if hasattr(out, "prediction_logits") else out.logits
    own = load_file(f"{case}.logits.safetensors")["logits"]
    keep = inputs["attention_mask"].bool()
    return {
        "case": case.name,
        "tensors": len(grown),
        "different": different,
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "mismatched": sorted(map(str, info["mismatched_keys"])),
        "logits": float((logits - own)[keep].abs().max() / own.abs().max()),
    }


folder = Path(sys.argv[1])
for path in sorted(p for p in folder.iterdir() if p.is_dir()):
    print(json.dumps(check(path, sys.argv[2:])))
