"""What transformers makes of models, for test/peers/models.test.ts.

    models.py make OUT [NAME...]  random models of many shapes with inputs and what transformers computes for them in float64
    models.py open FOLDER...    opens model folders: writes FOLDER/opened.json (missing and unexpected keys) and what they
                                compute for FOLDER/inputs.safetensors, in float64, to FOLDER/expected.safetensors
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

BERT = dict(vocab_size=101, max_position_embeddings=20, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
GPT2 = dict(vocab_size=97, n_positions=20, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)

DISTIL = dict(vocab_size=103, max_position_embeddings=20, dropout=0.0, attention_dropout=0.0, pad_token_id=0)
MODERN = dict(vocab_size=83, max_position_embeddings=32, pad_token_id=3, bos_token_id=1, eos_token_id=2, cls_token_id=1,
    sep_token_id=2, local_attention=6)
NOW = dict(vocab_size=89, max_position_embeddings=32, intermediate_size=44, num_hidden_layers=2, pad_token_id=None)
WINDOW = dict(use_sliding_window=True, sliding_window=4, max_window_layers=1)
YARN = dict(rope_type="yarn", rope_theta=300.0, factor=4.0, original_max_position_embeddings=8)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=16)

# name: class, config, what the inputs are like
CASES = {
    "bert-relu": ("BertForMaskedLM", dict(BERT, hidden_size=60, num_attention_heads=5, intermediate_size=77,
        num_hidden_layers=2, hidden_act="relu", type_vocab_size=3), dict(types=3)),
    "bert-one-head": ("BertForPreTraining", dict(BERT, hidden_size=17, num_attention_heads=1, intermediate_size=5,
        num_hidden_layers=1, hidden_act="gelu_new", pad_token_id=3, layer_norm_eps=1e-5), dict(types=2, mask=True, nsp=True)),
    "bert-many-heads": ("BertForPreTraining", dict(BERT, hidden_size=24, num_attention_heads=12, intermediate_size=48,
        num_hidden_layers=5), dict(mask=True, nsp=True, labels=False)),
    "bert-bare": ("BertModel", dict(BERT, hidden_size=32, num_attention_heads=4, intermediate_size=64,
        num_hidden_layers=2), dict(mask=True, labels=False)),
    "bert-nsp": ("BertForNextSentencePrediction", dict(BERT, hidden_size=32, num_attention_heads=2, intermediate_size=40,
        num_hidden_layers=2), dict(types=2, nsp=True, labels=False)),
    "bert-untied": ("BertForMaskedLM", dict(BERT, hidden_size=24, num_attention_heads=3, intermediate_size=40,
        num_hidden_layers=2, tie_word_embeddings=False), dict(mask=True)),
    "roberta-untied": ("RobertaForMaskedLM", dict(BERT, max_position_embeddings=30, hidden_size=18, num_attention_heads=2, intermediate_size=31,
        num_hidden_layers=2, type_vocab_size=1, pad_token_id=1, tie_word_embeddings=False), dict(padding=True)),
    "xlm-roberta-untied": ("XLMRobertaForMaskedLM", dict(BERT, max_position_embeddings=30, hidden_size=20, num_attention_heads=5,
        intermediate_size=26, num_hidden_layers=1, type_vocab_size=1, pad_token_id=1, tie_word_embeddings=False), dict(mask=True)),
    "roberta-tanh": ("RobertaForMaskedLM", dict(BERT, hidden_size=36, num_attention_heads=3, intermediate_size=50,
        num_hidden_layers=3, hidden_act="gelu_pytorch_tanh", type_vocab_size=1, pad_token_id=1), dict(padding=True)),
    "roberta-padding-5": ("RobertaForMaskedLM", dict(BERT, max_position_embeddings=30, hidden_size=16, num_attention_heads=2,
        intermediate_size=96, num_hidden_layers=2, type_vocab_size=2, pad_token_id=5), dict(types=2, padding=True, mask=True)),
    "roberta-bare": ("RobertaModel", dict(BERT, hidden_size=16, num_attention_heads=2, intermediate_size=20,
        num_hidden_layers=1, type_vocab_size=1), dict(mask=True, labels=False)),
    "xlm-roberta-one-layer": ("XLMRobertaForMaskedLM", dict(BERT, max_position_embeddings=30, hidden_size=33, num_attention_heads=3, intermediate_size=14,
        num_hidden_layers=1, type_vocab_size=1, pad_token_id=1, hidden_act="relu"), dict(padding=True)),
    "xlm-roberta-types": ("XLMRobertaForMaskedLM", dict(BERT, max_position_embeddings=30, hidden_size=24, num_attention_heads=4, intermediate_size=70,
        num_hidden_layers=3, type_vocab_size=3, pad_token_id=2), dict(types=3, mask=True)),
    "xlm-roberta-bare": ("XLMRobertaModel", dict(BERT, hidden_size=16, num_attention_heads=2, intermediate_size=20,
        num_hidden_layers=2, type_vocab_size=1, pad_token_id=1), dict(mask=True, labels=False)),
    "xlm-roberta-classifier": ("XLMRobertaForSequenceClassification", dict(BERT, hidden_size=16, num_attention_heads=2,
        intermediate_size=24, num_hidden_layers=2, pad_token_id=1), dict(mask=True, labels=False)),
    "distilbert": ("DistilBertForMaskedLM", dict(DISTIL, dim=36, n_heads=3, hidden_dim=50, n_layers=3), dict(mask=True)),
    "distilbert-relu": ("DistilBertForMaskedLM", dict(DISTIL, dim=17, n_heads=1, hidden_dim=90, n_layers=1, activation="relu",
        pad_token_id=4), dict()),
    "distilbert-untied": ("DistilBertForMaskedLM", dict(DISTIL, dim=24, n_heads=8, hidden_dim=30, n_layers=2,
        tie_word_embeddings=False), dict(mask=True)),
    "distilbert-sinusoidal": ("DistilBertForMaskedLM", dict(DISTIL, dim=20, n_heads=2, hidden_dim=33, n_layers=2,
        sinusoidal_pos_embds=True), dict()),
    "distilbert-bare": ("DistilBertModel", dict(DISTIL, dim=16, n_heads=2, hidden_dim=33, n_layers=2), dict(mask=True, labels=False)),
    "distilbert-classifier": ("DistilBertForSequenceClassification", dict(DISTIL, dim=16, n_heads=2, hidden_dim=33, n_layers=2),
        dict(mask=True, labels=False)),
    "xlm-roberta": ("XLMRobertaForMaskedLM", dict(BERT, max_position_embeddings=30, hidden_size=20, num_attention_heads=2, intermediate_size=30,
        num_hidden_layers=2, type_vocab_size=1, pad_token_id=1), dict(padding=True, mask=True)),
    "gpt2-inner": ("GPT2LMHeadModel", dict(GPT2, n_embd=30, n_head=3, n_inner=50, n_layer=4, activation_function="relu"), dict()),
    "gpt2-unscaled": ("GPT2LMHeadModel", dict(GPT2, n_embd=16, n_head=2, n_layer=1, activation_function="gelu",
        scale_attn_weights=False), dict(mask=True)),
    "gpt2-reordered": ("GPT2LMHeadModel", dict(GPT2, n_embd=24, n_head=3, n_layer=2, reorder_and_upcast_attn=True), dict(mask=True)),
    "gpt2-untied": ("GPT2LMHeadModel", dict(GPT2, n_embd=24, n_head=3, n_layer=2, tie_word_embeddings=False), dict(mask=True)),
    "gpt2-no-layers": ("GPT2LMHeadModel", dict(GPT2, n_embd=24, n_head=3, n_layer=0), dict(mask=True)),
    "bert-no-layers": ("BertForPreTraining", dict(BERT, hidden_size=24, num_attention_heads=3, intermediate_size=48,
        num_hidden_layers=0), dict(types=2, mask=True, nsp=True)),
    "distilbert-no-layers": ("DistilBertForMaskedLM", dict(DISTIL, dim=24, n_heads=3, hidden_dim=50, n_layers=0), dict(mask=True)),
    "llama-no-layers": ("LlamaForCausalLM", dict(NOW, num_hidden_layers=0, hidden_size=24, num_attention_heads=4,
        num_key_value_heads=2), dict()),
    "qwen3-no-layers": ("Qwen3ForCausalLM", dict(NOW, num_hidden_layers=0, hidden_size=24, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8), dict()),
    "bert-fast": ("BertForMaskedLM", dict(BERT, hidden_size=16, num_attention_heads=2, intermediate_size=40,
        num_hidden_layers=1, hidden_act="gelu_fast"), dict()),
    "bert-classifier": ("BertForSequenceClassification", dict(BERT, hidden_size=16, num_attention_heads=2, intermediate_size=24,
        num_hidden_layers=2, num_labels=3), dict(mask=True, labels=False)),
    "bert-tokens": ("BertForTokenClassification", dict(BERT, hidden_size=16, num_attention_heads=2, intermediate_size=24,
        num_hidden_layers=2), dict(mask=True, labels=False)),
    "roberta-classifier": ("RobertaForSequenceClassification", dict(BERT, hidden_size=16, num_attention_heads=2,
        intermediate_size=24, num_hidden_layers=2), dict(mask=True, labels=False)),
    "roberta-answers": ("RobertaForQuestionAnswering", dict(BERT, hidden_size=16, num_attention_heads=2,
        intermediate_size=24, num_hidden_layers=2), dict(mask=True, labels=False)),
    "gpt2-classifier": ("GPT2ForSequenceClassification", dict(GPT2, n_embd=24, n_head=4, n_layer=2, pad_token_id=1),
        dict(mask=True, labels=False)),
    "gpt2-tokens": ("GPT2ForTokenClassification", dict(GPT2, n_embd=24, n_head=4, n_layer=2), dict(mask=True, labels=False)),
    "llama-groups": ("LlamaForCausalLM", dict(NOW, hidden_size=48, num_attention_heads=6, num_key_value_heads=2), dict(mask=True)),
    "llama-one-kv-tied": ("LlamaForCausalLM", dict(NOW, hidden_size=40, num_attention_heads=5, num_key_value_heads=1,
        tie_word_embeddings=True, pad_token_id=7), dict(mask=True)),
    "llama-biases-wide-heads": ("LlamaForCausalLM", dict(NOW, hidden_size=36, num_attention_heads=6, num_key_value_heads=6,
        head_dim=10, attention_bias=True, mlp_bias=True, num_hidden_layers=1), dict()),
    "llama-linear": ("LlamaForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=4, num_key_value_heads=2,
        rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=3.0), hidden_act="gelu_pytorch_tanh"), dict()),
    "llama-llama3": ("LlamaForCausalLM", dict(NOW, hidden_size=64, num_attention_heads=2, num_key_value_heads=1,
        rope_parameters=LLAMA3), dict()),
    "llama-yarn": ("LlamaForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=2, rope_parameters=YARN), dict(mask=True)),
    "llama-yarn-mscale": ("LlamaForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=2,
        rope_parameters=dict(YARN, mscale=0.7, mscale_all_dim=1.3, beta_fast=8, beta_slow=2, truncate=False)), dict()),
    "llama-bare": ("LlamaModel", dict(NOW, hidden_size=24, num_attention_heads=4, num_key_value_heads=2), dict(mask=True, labels=False)),
    "mistral-window": ("MistralForCausalLM", dict(NOW, hidden_size=40, num_attention_heads=4, num_key_value_heads=2,
        sliding_window=5), dict()),
    "mistral-window-of-two": ("MistralForCausalLM", dict(NOW, hidden_size=24, num_attention_heads=3, num_key_value_heads=1,
        head_dim=6, sliding_window=2), dict()),
    "mistral-no-window": ("MistralForCausalLM", dict(NOW, hidden_size=24, num_attention_heads=2, num_key_value_heads=2,
        sliding_window=None, tie_word_embeddings=True), dict(mask=True)),
    "mistral-long-window": ("MistralForCausalLM", dict(NOW, hidden_size=24, num_attention_heads=2, sliding_window=64,
        num_key_value_heads=1, num_hidden_layers=1), dict(mask=True)),
    "mistral-yarn": ("MistralForCausalLM", dict(NOW, hidden_size=24, num_attention_heads=2, num_key_value_heads=2,
        sliding_window=3, rope_parameters=YARN), dict()),
    "qwen2-groups": ("Qwen2ForCausalLM", dict(NOW, hidden_size=48, num_attention_heads=8, num_key_value_heads=2), dict(mask=True)),
    "qwen2-tied": ("Qwen2ForCausalLM", dict(NOW, hidden_size=28, num_attention_heads=7, num_key_value_heads=7,
        tie_word_embeddings=True, num_hidden_layers=1), dict(mask=True)),
    "qwen2-windows": ("Qwen2ForCausalLM", dict(NOW, **WINDOW, hidden_size=32, num_attention_heads=4, num_key_value_heads=1,
        num_hidden_layers=3), dict()),
    "qwen2-kinds": ("Qwen2ForCausalLM", dict(NOW, **WINDOW, hidden_size=32, num_attention_heads=4, num_key_value_heads=2,
        num_hidden_layers=3, layer_types=["sliding_attention", "full_attention", "sliding_attention"]), dict()),
    "qwen2-llama3": ("Qwen2ForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=2, num_key_value_heads=2,
        rope_parameters=LLAMA3), dict()),
    "qwen3-groups": ("Qwen3ForCausalLM", dict(NOW, hidden_size=40, num_attention_heads=6, num_key_value_heads=2, head_dim=8), dict(mask=True)),
    "qwen3-tied": ("Qwen3ForCausalLM", dict(NOW, hidden_size=30, num_attention_heads=4, num_key_value_heads=4, head_dim=12,
        tie_word_embeddings=True, rms_norm_eps=1e-5), dict()),
    "qwen3-biases": ("Qwen3ForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=4, num_key_value_heads=1, head_dim=6,
        attention_bias=True, num_hidden_layers=1), dict()),
    "qwen3-windows": ("Qwen3ForCausalLM", dict(NOW, **WINDOW, hidden_size=32, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16), dict()),
    "qwen3-yarn": ("Qwen3ForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=2, num_key_value_heads=2, head_dim=16,
        rope_parameters=YARN), dict()),
    "modernbert-kinds": ("ModernBertForMaskedLM", dict(MODERN, hidden_size=40, num_attention_heads=5, intermediate_size=36,
        num_hidden_layers=5), dict(mask="inside")),
    "modernbert-biases": ("ModernBertForMaskedLM", dict(MODERN, hidden_size=24, num_attention_heads=2, intermediate_size=50,
        num_hidden_layers=2, norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, classifier_activation="relu",
        hidden_activation="gelu_pytorch_tanh", local_attention=1), dict(padding=True)),
    "modernbert-untied": ("ModernBertForMaskedLM", dict(MODERN, hidden_size=18, num_attention_heads=3, intermediate_size=7,
        num_hidden_layers=3, tie_word_embeddings=False, layer_types=["sliding_attention", "full_attention", "sliding_attention"]), dict()),
    "modernbert-one-layer": ("ModernBertForMaskedLM", dict(MODERN, hidden_size=32, num_attention_heads=1, intermediate_size=24,
        num_hidden_layers=1, decoder_bias=False, pad_token_id=None, local_attention=64), dict(mask="inside")),
    "modernbert-ropes": ("ModernBertForMaskedLM", dict(MODERN, hidden_size=32, num_attention_heads=4, intermediate_size=30,
        num_hidden_layers=4, global_attn_every_n_layers=2, rope_parameters=dict(
            full_attention=dict(rope_type="linear", rope_theta=300.0, factor=3.0),
            sliding_attention=dict(rope_type="default", rope_theta=20.0))), dict(mask="inside")),
    "modernbert-bare": ("ModernBertModel", dict(MODERN, hidden_size=24, num_attention_heads=2, intermediate_size=20,
        num_hidden_layers=4), dict(mask="inside", labels=False)),
    "modernbert-classifier": ("ModernBertForSequenceClassification", dict(MODERN, hidden_size=24, num_attention_heads=2,
        intermediate_size=20, num_hidden_layers=2), dict(mask="inside", labels=False)),
    "stablelm": ("StableLmForCausalLM", dict(NOW, hidden_size=48, num_attention_heads=3, num_key_value_heads=1), dict(mask=True)),
    "stablelm-biases": ("StableLmForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=2, num_key_value_heads=2,
        use_qkv_bias=True, tie_word_embeddings=True, partial_rotary_factor=0.5), dict()),
    "mistral-linear": ("MistralForCausalLM", dict(NOW, hidden_size=34, num_attention_heads=4, num_key_value_heads=4,
        sliding_window=4, rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=2.5)), dict()),
    "mistral-llama3": ("MistralForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=2, num_key_value_heads=1,
        sliding_window=None, rope_parameters=LLAMA3), dict()),
    "qwen2-linear-odd-heads": ("Qwen2ForCausalLM", dict(NOW, hidden_size=34, num_attention_heads=4, num_key_value_heads=2,
        rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=2.5)), dict(mask=True)),
    "qwen2-yarn-wide-heads": ("Qwen2ForCausalLM", dict(NOW, hidden_size=36, num_attention_heads=6, num_key_value_heads=2,
        head_dim=10, rope_parameters=YARN), dict()),
    "qwen3-linear": ("Qwen3ForCausalLM", dict(NOW, hidden_size=26, num_attention_heads=3, num_key_value_heads=3, head_dim=6,
        rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=2.5)), dict(mask=True)),
    "qwen3-llama3": ("Qwen3ForCausalLM", dict(NOW, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        rope_parameters=LLAMA3, num_hidden_layers=1), dict()),
    "modernbert-yarn-llama3": ("ModernBertForMaskedLM", dict(MODERN, hidden_size=32, num_attention_heads=2, intermediate_size=20,
        num_hidden_layers=3, rope_parameters=dict(full_attention=YARN, sliding_attention=LLAMA3)), dict(mask="inside")),
    "gpt2-bare": ("GPT2Model", dict(GPT2, n_embd=24, n_head=4, n_layer=2), dict(mask=True, labels=False)),
}


def randomise(model, g):
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            gain = p.ndim == 1 and name.endswith("weight")
            p.copy_(1 + 0.2 * noise if gain else (0.15 if p.ndim > 1 else 0.1) * noise)


def batch(config, wanted, g):
    b, t = 3, 13
    pad = config.pad_token_id
    ids = torch.randint(0, config.vocab_size, (b, t), generator=g)
    # Padding inside, not only at the end, where the architecture counts positions by it; else only by chance.
    if wanted.get("padding"):
        ids[0, 4] = pad
        ids[1, 9:] = pad
    ids[2, 0] = pad if pad is not None and not wanted.get("padding") else ids[2, 0]
    out = dict(input_ids=ids)
    if wanted.get("mask"):
        mask = torch.ones(b, t, dtype=torch.int64)
        mask[1, 9:] = 0
        mask[2, 5:] = 0
        if wanted["mask"] == "inside":
            # No window is all padding: eager attention, whose softmax is in float32, makes NaN of float64's lowest number.
            mask[2, 5:] = 1
            mask[2, 2:12:3] = 0
            mask[1, 11] = 1
        out["attention_mask"] = mask
    if wanted.get("types"):
        out["token_type_ids"] = torch.randint(0, wanted["types"], (b, t), generator=g)
    if wanted.get("labels", True):
        labels = torch.randint(0, config.vocab_size, (b, t), generator=g)
        labels[torch.rand(b, t, generator=g) < 0.6] = -100
        out["labels"] = labels
    if wanted.get("nsp"):
        out["next_sentence_label"] = torch.tensor([1, 0, 1])
    return out


def compute(model, inputs, gradients):
    name = type(model).__name__
    given = {k: v for k, v in inputs.items() if k not in ("labels", "next_sentence_label")}
    o = model(**given, output_hidden_states=True)
    # Where there is no block none are collected.
    states = o.hidden_states or (getattr(model, model.base_model_prefix)(**given).last_hidden_state,)
    out = {f"hidden.{i}": h for i, h in enumerate(states)}
    causal = name.endswith(("ForCausalLM", "LMHeadModel"))
    lm = "prediction_logits" if name == "BertForPreTraining" else "logits" if causal or name.endswith("ForMaskedLM") else None
    nsp = {"BertForPreTraining": "seq_relationship_logits", "BertForNextSentencePrediction": "logits"}.get(name)
    cross_entropy = torch.nn.functional.cross_entropy
    terms = []
    if lm is not None:
        logits = out["logits"] = o[lm]
        labels = inputs.get("labels")
        if labels is not None:
            if causal:
                logits, labels = logits[:, :-1], labels[:, 1:]
            terms.append(cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)))
    if nsp is not None:
        out["nsp_logits"] = o[nsp]
        if "next_sentence_label" in inputs:
            terms.append(cross_entropy(o[nsp], inputs["next_sentence_label"]))
    pooler = getattr(getattr(model, model.base_model_prefix, model), "pooler", None)
    if pooler is not None:
        out["pooler"] = pooler(states[-1])
    if terms:
        loss = sum(terms)
        out["loss"] = loss.reshape(1)
        if gradients:
            loss.backward()
            # A tied head that stands before the embeddings has its gradient under its own name.
            tied = getattr(model, "_tied_weights_keys", None) if model.config.tie_word_embeddings else None
            named = tied if isinstance(tied, dict) else {}
            out |= {f"grad/{named.get(n, n)}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {k: v.detach().float().contiguous().clone() for k, v in out.items()}


def make(out, names):
    for seed, (name, (cls, config, wanted)) in enumerate(CASES.items()):
        if names and name not in names:
            continue
        kind = getattr(transformers, cls)
        config = kind.config_class(**config)
        config._attn_implementation = "eager"
        g = torch.Generator().manual_seed(seed)
        model = kind(config)
        randomise(model, g)
        folder = Path(out) / name
        model.save_pretrained(folder)
        inputs = batch(config, wanted, g)
        save_file(inputs, folder / "inputs.safetensors")
        # transformers upcasts to float32, and refuses anything wider.
        model = model if getattr(config, "reorder_and_upcast_attn", False) else model.double()
        save_file(compute(model.train(), inputs, True), folder / "expected.safetensors")


def open_folders(folders):
    for folder in map(Path, folders):
        cls = json.loads((folder / "config.json").read_text())["architectures"][0]
        model, info = getattr(transformers, cls).from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
        (folder / "opened.json").write_text(json.dumps({k: sorted(map(str, info[k])) for k in
            ("missing_keys", "unexpected_keys", "mismatched_keys")}))
        inputs = load_file(folder / "inputs.safetensors")
        with torch.no_grad():
            save_file(compute(model.double().eval(), inputs, False), folder / "expected.safetensors")


transformers.logging.set_verbosity_error()
make(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "make" else open_folders(sys.argv[2:])
