"""StackBERT, MSLT, bert2BERT's two stages and LLaMA Pro in PyTorch, written from their descriptions for test/peers/plans.test.ts.

    plans.py CASES.json OUT

StackBERT: a quarter, half and all of the depth for 12.5, 17.5 and 70 % of the steps; at each change the whole stack is put
on top of itself, the optimizer starts anew and the rate warms up again. MSLT: four stages, each of which puts a copy of
the top quarter on top and trains only that quarter and the head; then the whole model. Two stages: every step takes one of
the sub-models made of the bottom block, two blocks, ... and updates its top block and the head; then the whole model.
LLaMA Pro: the whole model; then two copies of layers, each above its own, whose branches end in zero, and these alone are
trained, all else without requires_grad. In all others: embeddings train with the bottom layers, the tied matrix through the decoder always; what does not train in a step
gets no decay, no change of moments, no step count.

Writes for each case what trained in each step, and the parameters after the steps asked for.
"""
import copy
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
# Tensors of a few numbers: threads would only wait for each other.
torch.set_num_threads(1)


def stages_of(case):
    """(name, first step, top layers that train or None for all, what changes before)."""
    n, depth = case["steps"], case["depth"]
    quarter = depth // 4
    if case["plan"] == "stackbert":
        return [("quarter", 0, None, None), ("half", round(0.125 * n), None, "stack"), ("whole", round(0.3 * n), None, "stack")]
    if case["plan"] == "mslt":
        part = [round(i * 8 * n / 52) for i in range(5)]
        names = ["one", "two", "three", "four"]
        return [(names[i], part[i], quarter, "top" if i else None) for i in range(4)] + [("whole", part[4], None, None)]
    if case["plan"] == "llama-pro":
        return [("base", 0, None, None), ("new", n // 4, "new", "expand")]
    return [("sub-models", 0, "block", None), ("full", round(n / 8), None, None)]


class Peer:
    def __init__(self, case):
        self.case = case
        self.model = getattr(transformers, case["class"]).from_pretrained(case["folder"], dtype=torch.float64)
        self.model.eval()
        # A copied layer has its origin's place in the cache of keys and values.
        self.model.config.use_cache = False
        self.gpt = case["class"].startswith("GPT2")
        self.llama = case["class"].startswith("Llama")
        self.new = []
        self.reset()

    @property
    def layers(self):
        if self.llama:
            return self.model.model.layers
        return self.model.transformer.h if self.gpt else self.model.bert.encoder.layer

    def set_layers(self, layers):
        layers = torch.nn.ModuleList(layers)
        if self.llama:
            self.model.model.layers = layers
        elif self.gpt:
            self.model.transformer.h = layers
        else:
            self.model.bert.encoder.layer = layers
        setattr(self.model.config, "n_layer" if self.gpt else "num_hidden_layers", len(layers))

    def reset(self):
        """AdamW with moments at 0; biases and norms do not decay."""
        self.optimizer = torch.optim.AdamW([{"params": []}], lr=0.0, betas=(0.9, 0.999), eps=1e-6)
        self.optimizer.param_groups.clear()
        for p in dict.fromkeys(self.model.parameters()):
            self.optimizer.add_param_group({"params": [p], "weight_decay": 0.01 if p.ndim > 1 else 0.0})

    def grow(self, which):
        old = list(self.layers)
        if which == "expand":
            before, half = dict(self.optimizer.state), len(old) // 2
            self.new = [copy.deepcopy(old[half - 1]), copy.deepcopy(old[-1])]
            ends = ("c_proj.weight", "c_proj.bias", "o_proj.weight", "down_proj.weight")
            with torch.no_grad():
                for p in [p for layer in self.new for name, p in layer.named_parameters() if name.endswith(ends)]:
                    p.zero_()
            self.set_layers([*old[:half], self.new[0], *old[half:], self.new[1]])
            self.reset()
            self.optimizer.state.update(before)
            return
        added = old if which == "stack" else old[-(self.case["depth"] // 4):]
        new = [copy.deepcopy(layer) for layer in added]
        state = self.optimizer.state
        self.set_layers(old + new)
        if which == "stack":
            self.reset()
            return
        # MSLT goes on with its optimizer: what is copied brings its moments along.
        before = {p: copy.deepcopy(s) for p, s in state.items()}
        self.reset()
        self.optimizer.state.update(before)
        for layer, origin in zip(new, added):
            for p, q in zip(layer.parameters(), origin.parameters()):
                if q in before:
                    self.optimizer.state[p] = copy.deepcopy(before[q])

    def train(self, batch, run, train, rate):
        """One step of the bottom `run` layers, of which the top `train` learn. Returns the names of what learned."""
        everything = list(self.layers)
        names = {p: name for name, p in self.model.named_parameters()}
        bottom = run == train
        self.set_layers(everything[:run])
        for layer in everything:
            layer.requires_grad_(False)
        for layer in self.new if self.new else everything[run - train : run]:
            layer.requires_grad_(True)
        if self.llama:
            words, rest = self.model.model.embed_tokens, []
        elif self.gpt:
            words, rest = self.model.transformer.wte, [self.model.transformer.wpe]
        else:
            e = self.model.bert.embeddings
            words, rest = e.word_embeddings, [e.position_embeddings, e.token_type_embeddings, e.LayerNorm]
        for module in rest:
            module.requires_grad_(bottom)
        if self.new:
            bottom = False
            fixed = set(self.model.parameters()) - {p for layer in self.new for p in layer.parameters()}
            for p in fixed:
                p.requires_grad_(False)
        ids = torch.tensor(batch["ids"])
        looked_up = words(ids)
        out = self.model(inputs_embeds=looked_up if bottom else looked_up.detach(), labels=torch.tensor(batch["labels"]))
        self.optimizer.zero_grad(set_to_none=True)
        out.loss.backward()
        learned = [p for p in self.model.parameters() if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.set_layers(everything)
        return sorted(names[p] for p in learned)


def rate_at(case, stages, step):
    """Linear warm-up over a twentieth of the steps, linear decay to nothing; StackBERT warms up anew in later stages."""
    n, peak = case["steps"], case["lr"]
    warm = round(0.05 * n)
    decay = 1.0 if step < warm else 1 - (step - warm) / (n - warm)
    place = max(i for i, stage in enumerate(stages) if stage[1] <= step)
    start = stages[place][1]
    if case["plan"] == "stackbert" and place > 0:
        end = stages[place + 1][1] if place + 1 < len(stages) else n
        rise = round(0.05 * (end - start))
        return peak * decay * ((step - start + 1) / rise if step - start < rise else 1.0)
    return peak * ((step + 1) / warm if step < warm else decay)


def main():
    cases = json.loads(Path(sys.argv[1]).read_text())
    out = Path(sys.argv[2])
    report = []
    for case in cases:
        peer = Peer(case)
        stages = stages_of(case)
        steps = []
        for step in range(max(case["after"])):
            place = max(i for i, stage in enumerate(stages) if stage[1] <= step)
            name, start, train, change = stages[place]
            if step == start and change is not None:
                peer.grow(change)
            depth = len(peer.layers)
            run = depth
            if train == "block":
                block = case["depth"] // 4
                run = case["drawn"][step]
                assert run in range(block, depth + 1, block), f"{run} is no sub-model"
                train = block
            learned = peer.train(case["batches"][step], run, depth if train in (None, "new") else train, rate_at(case, stages, step))
            steps.append({"stage": name, "run": run, "learned": learned})
            if step + 1 in case["after"]:
                save_file({k: v.detach().clone().contiguous() for k, v in peer.model.named_parameters()}, out / f"{case['name']}-{step + 1}.safetensors")
        report.append({"name": case["name"], "steps": steps})
    print(json.dumps(report))


main()
