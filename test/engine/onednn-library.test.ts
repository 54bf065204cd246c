/**
 * Libraries that are not what the engine needs: absent, something else, too old, without its functions, or wrong. Made
 * here by the C compiler. And other versions than the system's, where BERT2BERT_TEST_ONEDNN names their files.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, temporaryFolder } from "../support.ts";

const folder = temporaryFolder();
const compiler = spawnSync("cc", ["--version"]).status === 0;
if (!compiler) console.warn("skipped: made-up libraries (there is no C compiler)");

const version = (major: number, minor: number) =>
  `static const struct { int major, minor, patch; } v = {${major}, ${minor}, 0};
const void *dnnl_version(void) { return &v; }\n`;

/** Every function that the engine calls, saying yes and doing nothing. */
const idle = [
  ...["engine_create", "stream_create", "stream_wait", "memory_create", "primitive_create", "post_ops_create"],
  ...["primitive_execute", "primitive_attr_create", "post_ops_append_binary", "post_ops_append_eltwise"],
  ...["post_ops_append_sum", "primitive_attr_set_post_ops", "memory_desc_create_with_strides"],
  ...["matmul", "eltwise_forward", "eltwise_backward", "layer_normalization_forward", "binary", "reorder"]
    .concat("layer_normalization_backward")
    .map((name) => `${name}_primitive_desc_create`),
]
  .map((name) => `int dnnl_${name}() { return 0; }\n`)
  .concat(
    `int dnnl_primitive_desc_query(void *pd, int what, int index, const char **out) { *out = "idle"; return 0; }\n`,
  )
  .join("");

/** Says on stdout why it fails, as 3.x does unless it is told not to. */
const talkative = `#include <stdio.h>
static int level = 1;
int dnnl_set_verbose(int wanted) { level = wanted; return 0; }
int dnnl_engine_create() { if (level) { puts("no devices available"); fflush(stdout); } return 2; }\n`;

function library(name: string, source: string): string {
  const [from, to] = [join(folder, `${name}.c`), join(folder, `lib${name}.so`)];
  writeFileSync(from, source);
  const made = spawnSync("cc", ["-w", "-shared", "-fPIC", "-o", to, from], { encoding: "utf8" });
  expect(made.stderr).toBe("");
  return to;
}

/** What `doctor` says of it, and which engine it chooses. */
function judged(path: string): { reason: string; chosen: string } {
  const { code, stdout, stderr } = cli(["doctor", "--json"], { env: { BERT2BERT_ONEDNN: path } });
  expect(code, stderr).toBe(0);
  const { chosen, engines } = JSON.parse(stdout);
  return { chosen, reason: engines.find(({ kind }: { kind: string }) => kind === "onednn").reason };
}

describe.runIf(compiler)("a library is passed over, with the reason,", () => {
  test.each([
    ["too old", version(1, 8), "version 1.8 (2.6 to 3.x are supported)"],
    ["of a 2.x before 2.6", version(2, 5), "version 2.5"],
    ["of a major version nobody has seen", version(4, 0), "version 4.0"],
    ["something else", "int nothing;", "it is not oneDNN"],
    ["without its functions", version(3, 2), "dnnl_engine_create"],
    ["idle", version(3, 2) + idle, "gets a product of two matrices wrong"],
    // `doctor --json` is still JSON.
    ["talkative", version(3, 13) + talkative, "dnnl_engine_create"],
  ])("where it is %s", (name, source, reason) => {
    const found = judged(library(name.replaceAll(/\W+/g, "-"), source));
    expect(found.reason).toContain(reason);
    expect(found.chosen).toBe("onnx");
  });
});

test("a file that is no library, and one that is not there", () => {
  const path = join(folder, "text.so");
  writeFileSync(path, "not a library");
  for (const each of [path, join(folder, "absent.so")]) {
    expect(judged(each).reason).toContain(each);
    expect(judged(each).chosen).toBe("onnx");
  }
});

const others = (process.env.BERT2BERT_TEST_ONEDNN ?? "").split(":").filter((path) => path !== "");
if (others.length === 0) console.warn("skipped: other versions of oneDNN (BERT2BERT_TEST_ONEDNN names no file)");
test.runIf(others.length > 0).each(others)("%s passes the tests of every operation and of the step", (path) => {
  const files = ["test/engine/operations.test.ts", "test/train/step/step.test.ts", "test/probe/probe.test.ts"];
  const args = [join(packageRoot(), "node_modules", "vitest", "vitest.mjs"), "run", "-t", "on onednn", ...files];
  const env = { ...process.env, BERT2BERT_ONEDNN: path, BERT2BERT_TEST_ONEDNN: "" };
  const done = spawnSync(process.execPath, args, { cwd: packageRoot(), env, encoding: "utf8" });
  expect(done.status, done.stdout + done.stderr).toBe(0);
  expect(done.stdout).not.toContain("skipped: the engine onednn");
});
