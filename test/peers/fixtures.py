"""Writes the fixtures of today's models under test/fixtures: tiny random models with what transformers and PyTorch make of
them, in float64: logits, hidden states, loss, gradients, and the parameters after three steps of AdamW.

    python test/peers/fixtures.py OUT [NAME...]
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

STEPS = dict(lr=5e-4, betas=[0.9, 0.999], eps=1e-6, weight_decay=0.01, clip_norm=1.0, steps=3)
NOW = dict(vocab_size=90, max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=None)

CASES = {
    "llama-tiny": ("LlamaForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, intermediate_size=44,
        num_hidden_layers=3, tie_word_embeddings=False)),
    "qwen3-tiny": ("Qwen3ForCausalLM", dict(NOW, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=40, num_hidden_layers=2, tie_word_embeddings=True)),
    "modernbert-tiny": ("ModernBertForMaskedLM", dict(NOW, hidden_size=32, num_attention_heads=4, intermediate_size=44,
        num_hidden_layers=4, pad_token_id=0, cls_token_id=1, sep_token_id=2, local_attention=10)),
    "distilbert-tiny": ("DistilBertForMaskedLM", dict(vocab_size=90, max_position_embeddings=32, dim=32, n_heads=4, hidden_dim=44,
        n_layers=2, pad_token_id=0, dropout=0.0, attention_dropout=0.0)),
    "mistral-tiny": ("MistralForCausalLM", dict(NOW, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=40, num_hidden_layers=2, sliding_window=7, tie_word_embeddings=False)),
    "qwen2-tiny": ("Qwen2ForCausalLM", dict(NOW, hidden_size=32, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=40, num_hidden_layers=2, tie_word_embeddings=True)),
    "xlm-roberta-tiny": ("XLMRobertaForMaskedLM", dict(vocab_size=90, max_position_embeddings=28, hidden_size=30,
        num_attention_heads=3, intermediate_size=44, num_hidden_layers=2, type_vocab_size=1, pad_token_id=1,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)),
}


def randomise(model, g):
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            gain = p.ndim == 1 and name.endswith("weight")
            p.copy_(1 + 0.2 * noise if gain else (0.12 if p.ndim > 1 else 0.1) * noise)


def batch(config, causal, g):
    b, t = 3, 24
    ids = torch.randint(5, config.vocab_size, (b, t), generator=g)
    if causal:
        return dict(input_ids=ids, labels=ids.clone())
    mask = torch.ones(b, t, dtype=torch.int64)
    mask[1, 19:] = 0
    mask[2, 20:] = 0
    ids = torch.where(mask == 1, ids, torch.tensor(config.pad_token_id))
    labels = torch.full((b, t), -100)
    for row, places in enumerate([(1, 5, 9, 20), (2, 3, 14), (4, 10)]):
        for place in places:
            labels[row, place] = ids[row, place]
            ids[row, place] = 4
    return dict(input_ids=ids, attention_mask=mask, labels=labels)


def write(folder, seed, kind, settings):
    cls = getattr(transformers, kind)
    config = cls.config_class(**settings)
    config._attn_implementation = "eager"
    model = cls(config).float()
    randomise(model, torch.Generator().manual_seed(seed))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    causal = kind.endswith("CausalLM")
    inputs = batch(config, causal, torch.Generator().manual_seed(100 + seed))
    model = model.double().train()
    # A tied head that stands before the embeddings goes under their name.
    tied = getattr(model, "_tied_weights_keys", None) if config.tie_word_embeddings else None
    named = tied if isinstance(tied, dict) else {}
    parameters = {named.get(name, name): p for name, p in model.named_parameters()}
    groups = [dict(params=[p for p in parameters.values() if (p.ndim > 1) == matrix],
        weight_decay=STEPS["weight_decay"] if matrix else 0.0) for matrix in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=STEPS["lr"], betas=STEPS["betas"], eps=STEPS["eps"])
    expected = {}
    for step in range(STEPS["steps"]):
        given = {name: value for name, value in inputs.items() if name != "labels"}
        found = model(**given, output_hidden_states=True)
        logits, labels = (found.logits[:, :-1], inputs["labels"][:, 1:]) if causal else (found.logits, inputs["labels"])
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, config.vocab_size), labels.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            expected |= {"logits": found.logits, "loss": loss.reshape(1)}
            expected |= {f"hidden.{i}": hidden for i, hidden in enumerate(found.hidden_states)}
            expected |= {f"grad/{name}": p.grad.clone() for name, p in parameters.items()}
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), STEPS["clip_norm"])
        optimizer.step()
    expected |= {f"step3/{name}": p for name, p in parameters.items()}
    save_file(inputs, folder / "inputs.safetensors")
    save_file({name: value.detach().float().contiguous().clone() for name, value in expected.items()}, folder / "expected.safetensors")
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
    recipe = dict(model=folder.name, optimizer=STEPS, decay="matrices and embeddings only; biases and norms none",
        loss="mean next-token cross-entropy" if causal else "mean cross-entropy over labels != -100",
        computed_in="float64", torch=torch.__version__, transformers=transformers.__version__)
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")


transformers.logging.set_verbosity_error()
for seed, (name, (kind, settings)) in enumerate(CASES.items(), 21):
    if len(sys.argv) < 3 or name in sys.argv[2:]:
        write(Path(sys.argv[1]) / name, seed, kind, settings)
