/**
 * What XLA makes of our training steps for an H100, without one: memory, traffic, kernels, what devices send each other.
 *
 *   npm run -s bench -- xla-traffic [--rows "BERT-base;GPT-2 small"] [--write]
 *
 * Needs a Python with JAX and its CUDA plugin, named in BERT2BERT_XLA_PYTHON (bench/peers/xla_compile.py says how to get
 * one). --write puts the table into docs/results/xla-traffic.md.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { programsOf } = await import(new URL("bench/peers/step.mjs", `file://${root}`).href);
const { lower } = await import(new URL("dist/engine/xla/lower.js", `file://${root}`).href);
const { shareOf, splitOfInput, splitOfState } = await import(new URL("dist/engine/xla/mesh.js", `file://${root}`).href);
const { layoutOf } = await import(new URL("dist/train/step/state.js", `file://${root}`).href);

const base = { layers: 12, hidden: 768, heads: 12, dropout: 0 };
const bert = { ...base, kind: "bert", vocabulary: 30522, batch: 256, length: 128, masked: 20 };
const gpt2 = { ...base, kind: "gpt2", vocabulary: 50257, batch: 32, length: 1024 };
const llama = { ...base, kind: "llama", kvHeads: 4, ffn: 2048, vocabulary: 32000, batch: 32, length: 1024 };
const large = { ...bert, layers: 24, hidden: 1024, heads: 16 };
const decoder = { ...llama, layers: 22, hidden: 2048, heads: 32, ffn: 5632 };
const plain = { fused: false };
const one = { data: 1 };
const cases: Readonly<Record<string, { spec: object; fused: boolean; mesh: Readonly<Record<string, number>> }>> = {
  "BERT-base 256×128, fused": { spec: bert, fused: true, mesh: one },
  "BERT-base 256×128, fused, padded": { spec: { ...bert, padded: true }, fused: true, mesh: one },
  "BERT-base 256×128, plain": { spec: bert, ...plain, mesh: one },
  "BERT-base 256×128, plain, dropout 0.1": { spec: { ...bert, dropout: 0.1 }, ...plain, mesh: one },
  "GPT-2 small 32×1024, fused": { spec: gpt2, fused: true, mesh: one },
  "GPT-2 small 32×1024, plain": { spec: gpt2, ...plain, mesh: one },
  "GPT-2 small 32×1024, plain, dropout 0.1": { spec: { ...gpt2, dropout: 0.1 }, ...plain, mesh: one },
  "Llama of GPT-2 small's size 32×1024, 12 heads over 4, fused": { spec: llama, fused: true, mesh: one },
  "GPT-2 small 256×1024, eight devices, fsdp, fused": {
    spec: { ...gpt2, batch: 256 },
    fused: true,
    mesh: { data: 1, fsdp: 8 },
  },
  "BERT-large 1024×128, eight devices, fsdp, fused": {
    spec: { ...large, batch: 1024 },
    fused: true,
    mesh: { data: 1, fsdp: 8 },
  },
  "a decoder of 1.1 billion 64×1024, eight devices, fsdp, fused": {
    spec: { ...decoder, batch: 64 },
    fused: true,
    mesh: { data: 1, fsdp: 8 },
  },
  "BERT-base 2048×128, eight devices, data, fused": { spec: { ...bert, batch: 2048 }, fused: true, mesh: { data: 8 } },
};

interface Compiled {
  readonly jax: string;
  readonly kept: number;
  readonly working: number;
  readonly traffic: Readonly<Record<string, number>>;
  readonly kernels: Readonly<Record<string, number>>;
  readonly collectives: Readonly<Record<string, readonly [number, number]>>;
  readonly calls: Readonly<Record<string, number>>;
}

/** What `plan` says of a mesh, in bytes. */
interface Share {
  readonly kept: number;
  readonly gathered: number;
  readonly reduced: number;
}

function compile(name: string): { readonly flops: number; readonly made: Compiled; readonly share: Share } {
  const { spec, fused, mesh } = cases[name];
  const { model, batch: program, flops } = programsOf(spec);
  const layout = layoutOf(model);
  const { text, states, inputs, updates, outputs } = lower(program, { halves: true, fused }, mesh, layout);
  type Leaf = { name: string; shape: readonly number[]; dtype: string };
  const kept = states.map((leaf: Leaf) => ({ ...leaf, split: splitOfState(mesh, leaf.shape, layout.get(leaf.name)) }));
  const given = inputs.map((leaf: Leaf) => ({ ...leaf, split: splitOfInput(mesh, program, leaf.name, leaf.shape) }));
  const changed = updates.map((update: string) => states.findIndex((state: Leaf) => state.name === update));
  const results = [...changed.map((i: number) => kept[i]), ...outputs.map((leaf: Leaf) => ({ ...leaf, split: [] }))];
  const ask = { text, arguments: [...kept, ...given], results, donated: changed, mesh };
  const { stdout, status } = spawnSync(
    process.env.BERT2BERT_XLA_PYTHON ?? "python3",
    [`${root}bench/peers/xla_compile.py`],
    { input: `${JSON.stringify(ask)}\n`, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"], maxBuffer: 2 ** 26 },
  );
  if (status !== 0) throw new Error(`${name} can't be compiled`);
  return { flops, made: JSON.parse(stdout), share: shareOf(program, mesh, layout, true) };
}

const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);

const { values } = parseArgs({
  options: { rows: { type: "string" }, write: { type: "boolean", default: false } },
});
const wanted = values.rows?.split(";");
const head = [
  "step",
  "TFLOP",
  "traffic, GB",
  "kernels",
  "working memory, GiB",
  "fused calls",
  "devices send each other",
];
const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
const table: string[] = [];
const shares: string[] = [];
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
let version = "";
for (const name of Object.keys(cases)) {
  if (wanted !== undefined && !wanted.some((start) => (start in cases ? name === start : name.startsWith(start))))
    continue;
  const { flops, made, share } = compile(name);
  version = made.jax;
  const collectives = Object.entries(made.collectives).map(
    ([kind, [count, bytes]]) => `${count} ${kind} ${(bytes / 2 ** 20).toFixed(0)} MiB`,
  );
  const calls = Object.entries(made.calls).filter(([target]) => target.startsWith("__cudnn$fmha"));
  table.push(
    line([
      ...[name, (flops / 1e12).toFixed(2), (sum(made.traffic) / 1e9).toFixed(1), String(sum(made.kernels))],
      ...[
        (made.working / 2 ** 30).toFixed(1),
        String(sum(Object.fromEntries(calls))),
        collectives.join(", ") || "nothing",
      ],
    ]),
  );
  console.log(table.at(-1));
  const sent = (...kinds: readonly string[]) =>
    kinds.reduce((sum, kind) => sum + (made.collectives[kind]?.[1] ?? 0), 0);
  if (name.includes("fsdp")) {
    const gradients = sent("all-reduce") + 8 * sent("reduce-scatter");
    const pairs = [
      [share.kept, made.kept],
      [share.gathered, sent("all-gather")],
      [share.reduced, gradients],
    ];
    shares.push(line([name, ...pairs.flat().map(megabytes)]));
    console.log(shares.at(-1));
  }
  const largest = Object.entries(made.traffic).sort((a, b) => b[1] - a[1]);
  console.error(
    largest
      .slice(0, 8)
      .map(([kind, bytes]) => `${kind} ${(bytes / 1e9).toFixed(1)}`)
      .join(", "),
  );
}
if (values.write) {
  const path = `${root}docs/results/xla-traffic.md`;
  const [before, rest] = readFileSync(path, "utf8").split("<!-- measured -->\n");
  const [old, after] = rest.split("<!-- end -->");
  const kinds = ["each keeps", "gathered", "gradients"].flatMap((kind) => [`${kind}: plan`, "compiled"]);
  const headOfMeshes = ["of a mesh, MB", ...kinds];
  /** The rows that stand there under a heading, but for those that were made anew, and these. */
  const together = (head: readonly string[], rows: readonly string[]) => {
    const nameOf = (row: string) => row.split(" | ")[0];
    const there = old.split("\n\n").find((part) => part.startsWith(line(head))) ?? "";
    const others = there.split("\n").slice(2);
    const anew = new Map(rows.map((row) => [nameOf(row), row]));
    const kept = others.map((row) => anew.get(nameOf(row)) ?? row);
    const all = [...kept, ...rows.filter((row) => !kept.includes(row))];
    return [line(head), line(head.map(() => "---")), ...all].join("\n");
  };
  const facts = `JAX ${version}, compiled for one H100 (or eight) on a machine without.`;
  const made = [facts, together(head, table), together(headOfMeshes, shares)].join("\n\n");
  writeFileSync(path, `${before}<!-- measured -->\n\n${made}\n\n<!-- end -->${after}`);
}
