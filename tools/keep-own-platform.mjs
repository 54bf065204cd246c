/**
 * Run by npm after it has installed the published package: removes the libraries of other platforms from the package's own
 * copy of onnxruntime-node. It fetches nothing and need not run: without it the package is only bigger.
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../dist/vendor/onnxruntime-node/bin/napi-v6", import.meta.url));
try {
  for (const platform of readdirSync(bin)) {
    const own = platform === process.platform ? readdirSync(join(bin, platform)) : [];
    if (!own.includes(process.arch)) rmSync(join(bin, platform), { recursive: true, force: true });
    else
      for (const cpu of own)
        if (cpu !== process.arch) rmSync(join(bin, platform, cpu), { recursive: true, force: true });
  }
} catch {
  // In a clone there is no such copy, and where it can't be changed it stays whole.
}
