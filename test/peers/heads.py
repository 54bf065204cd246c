"""Models without a language-model head and what transformers makes of them, for test/peers/heads.test.ts.

    heads.py make OUT               a BertModel with its tokenizer in OUT/encoder; state dicts of the same model under
                                    DataParallel and torch.compile in OUT/parallel and OUT/compiled
    heads.py fill FOLDER TEXT       what pipeline("fill-mask") says of TEXT, and the keys that loading missed, as JSON
    heads.py classes OUT            a small model of each class that reads BERT's, RoBERTa's or GPT-2's configs, in OUT/CLASS
    heads.py open FOLDER...         for each folder the class it names and the keys that loading missed or did not know, as JSON
    heads.py activations NAMES      NAMES: JSON, for each name of a function what it is read as. As JSON: names that are read
                                    as another function than they are, and names not read whose function there is
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

transformers.logging.set_verbosity_error()


def make(out):
    out = Path(out)
    words = "miller kettle dog cat the old red".split()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.txt").write_text("\n".join(tokens) + "\n")
    tokenizer = transformers.BertTokenizerFast(str(out / "vocab.txt"))
    torch.manual_seed(3)
    config = transformers.BertConfig(vocab_size=len(tokens), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=32)
    model = transformers.BertModel(config)
    for name, wrapped in (("encoder", model), ("parallel", torch.nn.DataParallel(model)), ("compiled", torch.compile(model))):
        model.save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
        if wrapped is not model:
            state = {k: v.contiguous().clone() for k, v in wrapped.state_dict().items()}
            save_file(state, out / name / "model.safetensors", metadata={"format": "pt"})


def fill(folder, text):
    kind = json.loads((Path(folder) / "config.json").read_text())["architectures"][0]
    _, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    said = transformers.pipeline("fill-mask", model=folder)(text)
    print(json.dumps(dict(kind=kind, missing=sorted(info["missing_keys"]), unexpected=sorted(info["unexpected_keys"]),
        words=[(one["token_str"], one["score"]) for one in said])))


BERT = dict(vocab_size=41, max_position_embeddings=20, hidden_size=16, num_attention_heads=2, intermediate_size=24, num_hidden_layers=2)
GPT2 = dict(vocab_size=41, n_positions=20, n_embd=16, n_head=2, n_layer=2, bos_token_id=0, eos_token_id=0, pad_token_id=0)


def classes(out):
    kinds = {"Bert": transformers.BertConfig(**BERT), "Roberta": transformers.RobertaConfig(**BERT), "GPT2": transformers.GPT2Config(**GPT2)}
    for name in dir(transformers):
        prefix = next((prefix for prefix in kinds if name.startswith(prefix)), None)
        kind = getattr(transformers, name) if prefix else None
        if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel) and kind.config_class is type(kinds[prefix]):
            if not name.endswith("PreTrainedModel"):
                kind(kinds[prefix]).save_pretrained(Path(out) / name)


def open_folders(*folders):
    opened = {}
    for folder in map(Path, folders):
        kind = json.loads((folder / "config.json").read_text())["architectures"][0]
        _, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
        opened[folder.name] = dict(kind=kind, missing=sorted(map(str, info["missing_keys"])),
            unexpected=sorted(map(str, info["unexpected_keys"])))
    print(json.dumps(opened))


def activations(read):
    read = json.loads(read)
    x = torch.cat([torch.linspace(-30, 30, 601), torch.linspace(-4, 4, 1001)]).double()
    own = {"gelu-erf": torch.nn.functional.gelu(x), "gelu-tanh": torch.nn.functional.gelu(x, approximate="tanh"),
           "relu": torch.relu(x), "silu": torch.nn.functional.silu(x)}
    wrong, left = [], []
    for name in transformers.activations.ACT2CLS:
        if name == "xielu":
            continue  # has parameters of its own
        y = transformers.activations.ACT2FN[name].double()(x).detach()
        same = [kind for kind, values in own.items() if (y - values).abs().max() < 1e-9]
        if name in read and read[name] not in same:
            wrong.append(name)
        if name not in read and same:
            left.append(name)
    print(json.dumps(dict(wrong=wrong, left=left, names=list(transformers.activations.ACT2CLS))))


dict(make=make, fill=fill, activations=activations, classes=classes, open=open_folders)[sys.argv[1]](*sys.argv[2:])
