"""What other tools make of a model, for test/peers/others.test.ts.

    others.py passthrough JOBS               mergekit's passthrough; JOBS is a JSON list of [source, out, layers], layers are the
                                             source's by number, and [number, true] is one whose branches are scaled by 0
    others.py bert2bert FOLDER SOURCE OUT WIDTH DEPTH   prts's bert2BERT, FPI (a checkout of it in FOLDER); it first makes the model in
                                             SOURCE: Llama with an FFN as wide as the stream, the one that its maps of units fit
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


def bert2bert(folder, source, out, width, depth):
    # Its package imports what trains it, which asks for a GPU: the names that growth takes from there are all it gets.
    import importlib.util
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    LlamaRMSNorm.eps = property(lambda self: self.variance_epsilon)

    def package(name, **names):
        made = sys.modules[name] = types.ModuleType(name)
        made.__path__ = []
        made.__dict__.update(names)

    def load(name, path):
        spec = importlib.util.spec_from_file_location(name, Path(folder) / path)
        made = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    package("lit_gpt")
    package("lit_gpt.model", GPT=object, Config=object)
    package("lit_gpt.rmsnorm", RMSNorm=LlamaRMSNorm, FusedRMSNorm=LlamaRMSNorm)
    package("jsonargparse")
    package("jsonargparse.cli", CLI=None)
    package("prts_lit")
    package("prts_lit.scaling")
    other = load("prts_lit.utils.other", "prts_lit/utils/other.py")
    package("prts_lit.utils", bert2BERTConfig=object, **other.__dict__)
    theirs = load("prts_lit.scaling.bert2bert", "prts_lit/scaling/bert2bert.py")

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 3}
    small = LlamaForCausalLM(LlamaConfig(vocab_size=100, max_position_embeddings=64, **sizes))
    small.save_pretrained(source)
    width, depth = int(width), int(depth)
    to = types.SimpleNamespace(src_width=32, trg_width=width, src_depth=3, trg_depth=depth, src_intermediate_size=32,
                               trg_intermediate_size=width, from_left=True, inner_stacking=False)
    grown = theirs.bert2BERT(small, to)
    grown.expend_layer(grown.get_extra_src_indices(), device="cpu")
    grown.expend_depth(*other.find_moduleList(small))
    from safetensors.torch import save_file

    Path(out).mkdir(parents=True)
    save_file({name: value.clone().contiguous() for name, value in small.state_dict().items()}, Path(out) / "model.safetensors")


{"passthrough": passthrough, "bert2bert": bert2bert, "hyperclone": hyperclone}[sys.argv[1]](*sys.argv[2:])
