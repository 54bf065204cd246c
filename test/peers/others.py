"""What other tools make of a model, for test/peers/others.test.ts.

    others.py passthrough JOBS               mergekit's passthrough; JOBS is a JSON list of [source, out, layers], layers are the
                                             source's by number, and [number, true] is one whose branches are scaled by 0
    others.py hyperclone FOLDER SOURCE OUT   hypercloning (a checkout of it in FOLDER): twice as wide, without noise
"""
import json
import sys
import types
from pathlib import Path


def passthrough(jobs):
    for job in json.loads(jobs):
        merge(*job)


def merge(source, out, layers):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    silent = {"scale": [{"filter": "o_proj", "value": 0.0}, {"filter": "down_proj", "value": 0.0}, {"value": 1.0}]}
    slices = []
    for layer in layers:
        number, zero = layer if isinstance(layer, list) else (layer, False)
        taken = {"model": source, "layer_range": [number, number + 1]}
        slices.append({"sources": [{**taken, "parameters": silent} if zero else taken]})
    config = {"merge_method": "passthrough", "dtype": "float32", "slices": slices}
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True)
    run_merge(MergeConfiguration.model_validate(config), out, options)


def hyperclone(folder, source, out):
    # Its package imports what it has for OLMo, which asks for more packages.
    package = types.ModuleType("hypercloning")
    package.__path__ = [str(Path(folder) / "hypercloning")]
    sys.modules["hypercloning"] = package
    import torch
    from hypercloning.llama_cloning import clone_llama
    from transformers import LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaAttention

    # As transformers 4 had them.
    LlamaAttention.num_heads = property(lambda self: self.config.num_attention_heads)
    LlamaAttention.num_key_value_heads = property(lambda self: self.config.num_key_value_heads)
    model = LlamaForCausalLM.from_pretrained(source, dtype=torch.float32)
    clone_llama(model, embedding_dim_multiplier=2, up_project_multiplier=2).save_pretrained(out)


{"passthrough": passthrough, "hyperclone": hyperclone}[sys.argv[1]](*sys.argv[2:])
