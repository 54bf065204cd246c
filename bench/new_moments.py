"""
What Adam's moments that start at 0 do beside others that were kept, and what helps: for docs/methods.md.

    npm run -s build && python bench/new_moments.py FOLDER [--steps 200] [--grow direct ...]

A small GPT-2 is trained by the built command line (FOLDER keeps it), grown, and trained on here, with an AdamW of
this script's own, so that a step count of each entry's own can be tried as well. New entries are those that have no second
moment when all of the source's are 1. Needs torch, transformers, safetensors and tokenizers; some minutes on two cores.

steps kept: the tensor's step count goes on.  steps 0: it begins anew, old moments stay.  per entry: old entries go on,
new ones count from 0.  mean: steps go on, second moments of new entries begin at the mean of their row's old ones (or of the
tensor's).  afresh: a tensor with new entries loses its moments.  drop: all do.
"""

import argparse
import math
import shutil
import subprocess
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel

ROOT = Path(__file__).resolve().parent.parent
LENGTH = 64
GROWTHS = {
    "direct": ["--method", "direct", "--hidden", "96"],
    "fresh": ["--method", "fresh", "--hidden", "128"],
    "fpi, old-only": ["--method", "fpi", "--hidden", "128", "--moments", "old-only"],
}
# Steps whose largest move is looked for: without a step count of its own an entry moves furthest in step 12.
WATCHED = 40
VARIANTS = ["steps kept", "steps 0", "per entry", "mean", "afresh", "drop"]
CONFIG = """{"model_type": "gpt2", "vocab_size": 1000, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_inner": 256,
"n_positions": 64, "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}"""
RUN = """out: run
model: {init: config.json}
data: {from: data}
objective: clm
batch: {sequences: 16}
steps: 1500
optimizer: {lr: 2e-3}
schedule: {warmup: 100, decay: constant}
evaluate: {every: 0, sequences: 64}
"""


def command(folder, *words):
    subprocess.run(["node", str(ROOT / "dist/cli/main.js"), *words], cwd=folder, check=True, capture_output=True)


def trained(folder):
    """The source: a checkpoint with its moments."""
    folder.mkdir(parents=True, exist_ok=True)
    stories = "import('%s').then((m) => process.stdout.write(m.generateStories({ seed: 1, stories: 6000 })))"
    corpus = folder / "corpus.txt"
    if not corpus.exists():
        script = stories % (ROOT / "dist/quickstart/stories.js").as_uri()
        corpus.write_bytes(subprocess.run(["node", "-e", script], check=True, capture_output=True).stdout)
    command(folder, "tokenizer", "train", "corpus.txt", "--out", "tok", "--kind", "bpe", "--vocab", "1000")
    command(folder, "prepare", "corpus.txt", "--tokenizer", "tok", "--out", "data", "--length", str(LENGTH))
    (folder / "config.json").write_text(CONFIG)
    (folder / "run.yaml").write_text(RUN)
    command(folder, "pretrain", "run.yaml")
    return folder / "run/checkpoints/step-1500"


def grown(folder, source, name, words):
    """The grown folder, and which entries of each parameter are new."""
    ones = folder / "ones"
    if not ones.exists():
        shutil.copytree(source, ones)
        (ones / "SHA256SUMS").unlink()
        state = load_file(ones / "optimizer.safetensors")
        save_file({k: torch.ones_like(t) if k[0] == "v" else t for k, t in state.items()}, ones / "optimizer.safetensors")
    for start, out in ((source, name), (ones, f"{name} ones")):
        shutil.rmtree(folder / out, ignore_errors=True)
        command(folder, "grow", str(start.relative_to(folder)), out, *words)
    state = load_file(folder / f"{name} ones" / "optimizer.safetensors")
    return folder / name, {k[2:]: t == 0 for k, t in state.items() if k[0] == "v"}


class State:
    """A parameter's moments and step count, as a variant begins with them."""

    def __init__(self, m, v, steps, new, variant):
        self.m, self.v, self.new = m.clone(), v.clone(), new
        self.steps = torch.full((1,), steps)
        mixed = bool(new.any()) and not bool(new.all())
        if bool(new.all()) or variant == "drop" or (mixed and variant == "afresh"):
            self.m.zero_()
            self.v.zero_()
        if bool(new.all()) or variant == "drop" or (mixed and variant in ("steps 0", "afresh")):
            self.steps = torch.zeros(1)
        if mixed and variant == "per entry":
            self.steps = torch.where(new, 0.0, steps)
        if mixed and variant == "mean":
            old = ~new
            whole = self.v[old].mean()
            count = old.sum(-1, keepdim=True)
            rows = torch.where(count > 0, (self.v * old).sum(-1, keepdim=True) / count.clamp(min=1), whole)
            self.v = torch.where(new, rows.expand_as(self.v), self.v)

    def update(self, gradient, b1=0.9, b2=0.999, eps=1e-8):
        """The step's direction, in units of the rate."""
        self.steps = self.steps + 1
        self.m.mul_(b1).add_(gradient, alpha=1 - b1)
        self.v.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        return (self.m / (1 - b1**self.steps)) / ((self.v / (1 - b2**self.steps)).sqrt() + eps)


def train(folder, new, variant, steps, train_rows, validation, kept_steps, rate=2e-3):
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    state = load_file(folder / "optimizer.safetensors")
    parameters = dict(model.named_parameters())
    states = {k: State(state[f"m/{k}"], state[f"v/{k}"], kept_steps, new[k], variant) for k in parameters}
    random = torch.Generator().manual_seed(1)
    losses, largest, squares, counts = [], {True: 0.0, False: 0.0}, 0.0, 0
    for step in range(steps):
        rows = train_rows[torch.randint(0, len(train_rows), (16,), generator=random)]
        loss = model(rows, labels=rows).loss
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        now = rate * (1 - step / steps)
        with torch.no_grad():
            for name, p in parameters.items():
                update = states[name].update(p.grad)
                if step < WATCHED:
                    sizes = update.abs()
                    largest[True] = max(largest[True], (sizes * new[name]).max().item())
                    largest[False] = max(largest[False], (sizes * ~new[name]).max().item())
                if step == 9 and not new[name].all():
                    squares += update[~new[name]].square().sum().item()
                    counts += int((~new[name]).sum())
                if p.dim() > 1:
                    p.mul_(1 - 0.01 * now)
                p.add_(update, alpha=-now)
                p.grad = None
    with torch.no_grad():
        after = model(validation, labels=validation).loss.item()
    mean = lambda part: sum(part) / len(part)
    return largest[True], largest[False], math.sqrt(squares / max(counts, 1)), mean(losses[:20]), mean(losses), after


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--grow", nargs="*", default=list(GROWTHS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.folder.resolve()
    source = trained(folder)
    ids = torch.tensor(Tokenizer.from_file(str(folder / "tok/tokenizer.json")).encode((folder / "corpus.txt").read_text()).ids)
    rows = ids[: len(ids) // LENGTH * LENGTH].view(-1, LENGTH)
    head = "| growth | moments of new entries | largest step of a new entry | of an old one | old entries' step 10, RMS | loss of steps 1–20 | of all | validation at the end |"
    print(head)
    print("|" + "---|" * 8)
    for name in options.grow:
        out, new = grown(folder, source, name, GROWTHS[name])
        for variant in VARIANTS:
            most, old, rms, first, every, after = train(out, new, variant, options.steps, rows[:-128], rows[-128:], 1500.0)
            print(f"| {name} | {variant} | {most:.2f} | {old:.2f} | {rms:.2f} | {first:.3f} | {every:.3f} | {after:.3f} |", flush=True)


main()
