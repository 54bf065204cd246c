/**
 * onnxruntime: the copy without CUDA and its install script that the published package carries (tools/stage-onnxruntime.mjs),
 * else, in a clone, the package that `npm ci` installs.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const carried = fileURLToPath(new URL("../../vendor/onnxruntime-node", import.meta.url));
export const library: typeof import("onnxruntime-node") = createRequire(import.meta.url)(
  existsSync(carried) ? carried : "onnxruntime-node",
);
