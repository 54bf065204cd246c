/** What can go wrong between the XLA engine and its Python, each said in one sentence. Shell scripts play the Python. */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { open, xlaEngine } from "../../src/engine/xla/engine.ts";
import { pythonOf } from "../../src/engine/xla/python.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { elements } from "../../src/model/table.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import * as ops from "../../src/program/ops/index.ts";
import { buildStep } from "../../src/train/step/step.ts";
import { UserError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, python, temporaryFolder } from "../support.ts";
import { gpt2Config, writeRun } from "../train/data.ts";
import { Bench, gap, openReference } from "./compare.ts";

const found = await xlaEngine.probe();
if (!found.usable) console.warn(`skipped: the engine xla (${found.reason})`);
const real = pythonOf();
const folder = temporaryFolder();
/** Any Python, for those that play one without JAX or with another. */
const any = process.env.BERT2BERT_PYTHON ?? "python3";
const there = python([]) !== undefined;

/** A Python that is a shell script. */
function script(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

const opened = (python: string, options: Readonly<Record<string, unknown>> = {}, patience?: number) =>
  open({ threads: 1, precision: "f32", options: { python, ...options } }, { patience });

async function refusal(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof UserError) return error;
  throw new Error(`refused with ${error}`);
}

describe("a Python that does not do", () => {
  test("there is none", async () => {
    const { where, what, wayOut } = await refusal(opened("/nowhere/python"));
    expect(where).toBe("/nowhere/python");
    expect(what).toContain("ENOENT");
    expect(wayOut).toContain("npm run setup:xla");
  });

  test.skipIf(!there)("it has no JAX", async () => {
    const bare = script("bare", `exec ${any} -S "$@"`);
    const { where, what, wayOut } = await refusal(opened(bare));
    expect(where).toBe(bare);
    expect(what).toMatch(/^it has no JAX that can be loaded \(No module named '(jax|numpy)'\)$/);
    expect(wayOut).toContain('pip install "jax>=0.10,<0.13"');
  });

  /** A Python with a JAX that is nothing but its version and one device. */
  const stubbed = (version: string) => {
    mkdirSync(join(folder, "modules", "jax"), { recursive: true });
    const stub = [
      `__version__ = '${version}'`,
      "class config: update = staticmethod(lambda *a: None)",
      "class Device: platform = device_kind = 'cpu'",
      "devices = lambda: [Device]",
    ];
    writeFileSync(join(folder, "modules", "jax", "__init__.py"), `${stub.join("\n")}\n`);
    writeFileSync(join(folder, "modules", "jax", "export.py"), "");
    writeFileSync(join(folder, "modules", "numpy.py"), "float32 = int32 = None\n");
    return script("other", `PYTHONPATH=${join(folder, "modules")} PYTHONDONTWRITEBYTECODE=1 exec ${any} -S "$@"`);
  };

  test.skipIf(!there)("it has another JAX", async () => {
    const { what, wayOut } = await refusal(opened(stubbed("0.9.2")));
    expect(what).toBe("it has JAX 0.9.2, which is not one of those it works with");
    expect(wayOut).toContain("npm run setup:xla");
  });

  test.skipIf(!there)("it has fewer devices than the mesh", async () => {
    const { where, what } = await refusal(opened(stubbed("0.10.2"), { mesh: { data: 2, fsdp: 2 } }));
    expect(where).toBe("engine.mesh");
    expect(what).toBe("the mesh takes 4 devices, and there is 1");
  });

  test("it ends", async () => {
    const { what } = await refusal(opened(script("ends", "echo no room at all >&2; exit 3")));
    expect(what).toBe("the XLA host ended with code 3: no room at all");
  });

  test("it ends itself: why is said, and not where", async () => {
    const fatal = "F1128 10:00:00.0 7 parse_flags_from_env.cc:234] Unknown flag in XLA_FLAGS";
    const aborts = script("aborts", `echo "${fatal}" >&2; echo "    @ 0x7f main" >&2; kill -ABRT $$`);
    const { what } = await refusal(opened(aborts));
    expect(what).toBe(`the XLA host ended by SIGABRT: ${fatal}`);
  });

  test.skipIf(!there)("it is left in the middle of a request: it ends", async () => {
    const host = spawn(any, [`${packageRoot()}src/engine/xla/host.py`], { stdio: ["pipe", "ignore", "pipe"] });
    const prefix = Buffer.alloc(16);
    prefix.write("b2bX");
    prefix.writeUInt32LE(100, 4);
    host.stdin.end(Buffer.concat([prefix, Buffer.from('{"id": 1')]));
    let said = "";
    host.stderr.on("data", (data) => {
      said += data;
    });
    expect(await new Promise((resolve) => host.on("close", (code, signal) => resolve(code ?? signal)))).toBe(0);
    expect(said).toBe("");
  });

  test("it prints where answers are expected", async () => {
    const { what, wayOut } = await refusal(opened(script("prints", "echo Welcome to the cluster; exec sleep 1000")));
    expect(what).toContain("something printed «Welcome to the cluster");
    expect(wayOut).toContain("print nothing");
  });

  test("it stands still", async () => {
    const began = performance.now();
    const { what, wayOut } = await refusal(opened(script("still", "exec sleep 1000"), {}, 2));
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(what).toBe("the XLA host stood still for 2 s and was ended");
    expect(wayOut).toContain("from its last checkpoint");
  });

  test("in a settings file: another engine's key, and one that is none", async () => {
    const path = await writeRun(join(folder), gpt2Config, run("{kind: onnx, device: gpu}"));
    const { code, stderr } = cli(["plan", path]);
    expect(code).toBe(2);
    expect(stderr).toContain("only the engine xla has `device`");
    expect(stderr).toContain("hint: leave it out, or set engine.kind to xla");
    expect(cli(["plan", path, "--set", "engine={kind: xla, devise: gpu}"]).stderr).toContain("did you mean `device`?");
    const hosts = "{coordinator: 'here:1', processes: 2, process: 2}";
    const third = cli(["plan", path, "--set", `engine={kind: xla, hosts: ${hosts}}`]);
    expect(third.code).toBe(2);
    expect(third.stderr).toContain("processes are numbered from 0");
  });
});

test("the Python is the setting's, the variable's, a .venv's, in this order", () => {
  const before = process.env.BERT2BERT_XLA_PYTHON;
  try {
    process.env.BERT2BERT_XLA_PYTHON = "/by/variable";
    expect(pythonOf("/by/setting")).toBe("/by/setting");
    expect(pythonOf()).toBe("/by/variable");
    delete process.env.BERT2BERT_XLA_PYTHON;
    const here = process.cwd();
    script(".venv/bin/python", "");
    process.chdir(folder);
    expect(pythonOf()).toBe(join(process.cwd(), ".venv", "bin", "python"));
    process.chdir(here);
  } finally {
    if (before !== undefined) process.env.BERT2BERT_XLA_PYTHON = before;
  }
});

const run = (engine: string) => `
out: out
model: {init: config.json}
data: {from: data}
objective: clm
batch: {sequences: 4}
steps: 30
plan: [{steps: 15}, {grow: {layers: 4, ffn: 80, method: lemon}}]
evaluate: {every: 0, sequences: 16}
checkpoint: {every: 5, keep: 1}
log: {every: 1}
engine: ${engine}
`;

describe.skipIf(!found.usable)("with JAX", () => {
  /** A Python that leaves its process's number in a file. */
  const known = script("known", `echo $$ > ${folder}/pid; exec ${real} "$@"`);
  const pid = () => Number(readFileSync(join(folder, "pid"), "utf8"));

  test("a device that is not there", async () => {
    const { where, what, wayOut } = await refusal(opened(real, { device: "tpu" }));
    expect(where).toBe("engine.device tpu");
    expect(what).toContain("JAX finds no device there");
    expect(wayOut).toContain("npm run setup:xla");
  });

  test("of what lies as bf16, a norm and a loss are those of the same numbers in f32", async () => {
    const bench = new Bench();
    const [rows, width] = [64, 512];
    // Numbers of bf16, so that nothing is lost on the way; the rows lie well away from 0.
    const rounded = (data: Float32Array) => {
      const bits = new Uint32Array(data.buffer);
      for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] >>> 16) << 16;
      return data;
    };
    const build = (b: ProgramBuilder) => {
      const zero = b.input("zero", [rows, width]);
      const [x, logits, gain] = [
        b.input("x", [rows, width]),
        b.input("logits", [rows, width]),
        b.input("gain", [width]),
      ];
      // What is added up lies as bf16 where norms and losses alone read it.
      const normed = ops.layerNorm(b, ops.add(b, x, zero), gain, gain, 1e-5);
      const loss = ops.crossEntropy(
        b,
        ops.add(b, logits, zero),
        b.input("labels", [rows], "i32"),
        b.input("weights", [rows]),
      );
      const [dx, dgain, dshift] = b.apply(
        ops.layerNormGradOp,
        [ops.add(b, logits, zero), ops.add(b, x, zero), gain, normed.mean, normed.rstd],
        { x: true, affine: true },
      );
      for (const [name, value] of Object.entries({ ...normed, ...loss, dx, dgain, dshift })) b.output(name, value);
      return b.build();
    };
    const given = {
      zero: new Float32Array(rows * width),
      x: rounded(bench.draw([rows, width], 6, 0.5)),
      // A label's logit far above all others and far below; the largest anywhere in a row.
      logits: rounded(bench.draw([rows, width], -40, 30)),
      gain: bench.draw([width], 1, 0.1),
      labels: Int32Array.from({ length: rows }, (_, i) => (37 * i) % width),
      weights: new Float32Array(rows).fill(1 / rows),
    };
    const answers = [];
    for (const engine of [await openReference(), await open({ threads: 1, precision: "bf16" })]) {
      answers.push(await (await engine.compile(build(new ProgramBuilder()))).run(given));
      await engine.close();
    }
    const [expected, found] = answers;
    for (const name of Object.keys(expected)) expect(gap(found[name], expected[name]), name).toBeLessThan(2e-5);
  });

  test("a step that the memory has no room for", async () => {
    const small = await opened(script("small", `ulimit -v 12000000; exec ${real} "$@"`));
    const spread = (rows: number) => {
      const b = new ProgramBuilder();
      b.output("y", ops.broadcastTo(b, b.input("x", [1]), [rows, 2 ** 16]));
      return small.compile(b.build());
    };
    const needs = (gigabytes: string) =>
      new RegExp(
        `^the device is out of memory: a step needs 0.0 GB for what it keeps and ${gigabytes} GB for what it computes of [\\d.]+ GB; about \\d+ % of this batch would fit$`,
      );
    // More than the machine has, and more than it gives.
    expect((await refusal(spread(2 ** 23))).what).toMatch(needs("2199.0"));
    const { what, wayOut } = await refusal(spread(2 ** 16).then((it) => it.run({ x: new Float32Array(1) })));
    expect(what).toMatch(needs("17.2"));
    expect(wayOut).toContain("lower batch.sequences");
    await small.close();
  });

  test("ids outside a table, which XLA would take for the edge's", async () => {
    const engine = await opened(real);
    const reference = await openReference();
    const programs: readonly ((t: Bench) => void)[] = [
      (t) => t.b.output("y", ops.gather(t.b, t.real([5, 2]), t.ids(5, [3]))),
      (t) => t.b.output("y", ops.gather(t.b, t.real([5, 2]), ops.reshape(t.b, t.ids(5, [3, 1]), [3]))),
      (t) => t.b.output("y", ops.scatterAdd(t.b, t.ids(5, [3]), t.real([3, 2]), 5)),
      (t) => t.b.output("y", ops.crossEntropy(t.b, t.real([3, 5]), t.ids(5, [3]), t.between(0, 1, [3])).loss),
    ];
    for (const build of programs) {
      const bench = new Bench();
      build(bench);
      const both = await Promise.all([engine, reference].map((one) => one.compile(bench.b.build())));
      const [name] = Object.entries(bench.inputs).find(([, data]) => data instanceof Int32Array) ?? [""];
      for (const id of [-1, 5]) {
        const inputs = { ...bench.inputs, [name]: Int32Array.of(0, id, 4) };
        await expect(both[0].run(inputs)).rejects.toThrow(`${name}: id ${id} is outside a table of 5 rows`);
        await expect(both[1].run(inputs)).rejects.toThrow(`no row ${id} of 5`);
      }
      // Nothing was given up for it.
      expect((await both[0].run(bench.inputs)).y.length).toBeGreaterThan(0);
    }
    const bench = new Bench();
    bench.b.output("y", ops.gather(bench.b, bench.real([6, 2]), bench.given("ids", [4], Int32Array.of(0, 2, 3, 5)), 2));
    const grouped = await engine.compile(bench.b.build());
    await grouped.run(bench.inputs);
    const wrong = grouped.run({ ...bench.inputs, ids: Int32Array.of(0, 3, 3, 5) });
    await expect(wrong).rejects.toThrow("ids: id 3 is outside its group's 3 rows");
    await engine.close();
  });

  test("a mesh: each device keeps its half, and what does not divide is refused", async () => {
    const model = architectureOf(gpt2Config, "a test").model(gpt2Config, "a test");
    const step = (batch: number) => {
      const loss = { objective: "clm", batch, length: 16, perSequence: 16 } as const;
      const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 } as const;
      return buildStep(model, { loss, model: { layers: 3, train: 3 }, head: true, accumulate: 1 }, rule).batch;
    };
    const kept: number[] = [];
    for (const mesh of [{}, { data: 2 }, { fsdp: 2 }]) {
      const engine = await opened(real, { mesh });
      kept.push((await engine.compile(step(2))).memory?.kept ?? Number.NaN);
      if ("fsdp" in mesh) {
        const { where, what, wayOut } = await refusal(engine.compile(step(3)));
        expect(where).toBe("engine.mesh");
        expect(what).toBe("a batch of 3 sequences does not divide among 2 devices");
        expect(wayOut).toBe("make batch.sequences a multiple of 2");
      }
      await engine.close();
    }
    const [alone, data, fsdp] = kept;
    console.log(`kept by each device: ${alone} B alone, ${data} B with data 2, ${fsdp} B with fsdp 2`);
    // Parameters, two moments: all matrices in halves; vectors and the batch's other inputs on each.
    const bytes = (split: boolean) =>
      12 * model.parameters.reduce((sum, p) => sum + elements(p) / (split && p.dims.length > 1 ? 2 : 1), 0);
    expect(alone - fsdp).toBeGreaterThanOrEqual(bytes(false) - bytes(true));
    expect(alone - data).toBeLessThan(1000);
  });

  test.each([
    ["SIGKILL", /^the XLA host ended by SIGKILL$/],
    ["SIGSTOP", /^the XLA host stood still for 3 s and was ended$/],
  ] as const)("%s in the middle of a run", async (signal, expected) => {
    const engine = await opened(known, {}, 3);
    const bench = new Bench();
    // Half a minute of products.
    let x = bench.real([700, 700]);
    for (let i = 0; i < 40; i++) x = ops.matmul(bench.b, x, x);
    bench.b.output("y", ops.reduceSum(bench.b, x, [0, 1]));
    const program = await engine.compile(bench.b.build());
    const runs = Array.from({ length: 40 }, () => refusal(program.run(bench.inputs)));
    await sleep(300);
    process.kill(pid(), signal);
    const errors = await Promise.all(runs.slice(-5));
    for (const { what, wayOut } of errors) {
      expect(what).toMatch(expected);
      expect(wayOut).toContain("start again: a run carries on from its last checkpoint");
    }
    // Whoever asks later hears the same, and nothing waits.
    expect((await refusal(engine.write("x", [1], new Float32Array(1)))).what).toMatch(expected);
    await engine.close();
  });

  test("a run whose host dies says so in one sentence, and goes on to the end it would have had", async () => {
    const path = await writeRun(folder, gpt2Config, run(`{kind: xla, threads: 1, python: ./known}`));
    const weights = (name: string) => readFileSync(join(folder, name, "model", "model.safetensors"));
    const start = (name: string) => {
      const main = join(packageRoot(), "dist", "cli", "main.js");
      const child = spawn(process.execPath, [main, "pretrain", path, "--set", `out=${name}`], { detached: true });
      let said = "";
      child.stderr.on("data", (piece) => {
        said += piece;
      });
      const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
      /** Until a step's line is in the metrics. */
      const reached = async (step: number) => {
        const lines = () =>
          readFileSync(join(folder, name, "metrics.jsonl"), "utf8").split(`"step":${step},`).length > 1;
        while (child.exitCode === null) {
          try {
            if (lines()) return;
          } catch {}
          await sleep(5);
        }
      };
      return { child, ended, reached, said: () => said };
    };
    expect(cli(["pretrain", path, "--set", "out=whole"]).code).toBe(0);

    const killed = start("parts");
    // The checkpoint of step 10 may be under way; that of step 5 was whole before it was begun.
    await killed.reached(13);
    process.kill(pid(), "SIGKILL");
    expect(await killed.ended).toBe(2);
    expect(killed.said()).toContain("error: engine xla: the XLA host ended by SIGKILL\nhint: ");

    // As a terminal's Ctrl-C: everybody in the group gets it, and the host leaves it to us.
    const stopped = start("parts");
    await stopped.reached(18);
    process.kill(-(stopped.child.pid ?? 0), "SIGINT");
    expect(await stopped.ended).toBe(130);
    expect(stopped.said()).toMatch(/carrying on after step (5|10) of 30/);

    const last = cli(["pretrain", path, "--set", "out=parts"]);
    expect(last.code).toBe(0);
    expect(last.stderr).toMatch(/carrying on after step \d+ of 30/);
    expect(weights("parts").equals(weights("whole"))).toBe(true);
  });
});
