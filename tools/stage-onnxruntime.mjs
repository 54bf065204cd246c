/**
 * Puts onnxruntime-node into dist/vendor as the published package carries it; `npm pack` runs it after the build.
 *
 * The package on the registry wants to fetch the CUDA libraries when it is installed, which fails behind a firewall, and no
 * package can tell npm to spare its users the script of a dependency. The copy has no such script and only what computes
 * on a CPU: the binding and the library of each platform, not DirectML with its compilers, and each file once.
 * node_modules is only read.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const from = join(root, "node_modules", "onnxruntime-node");
const to = join(root, "dist", "vendor", "onnxruntime-node");
const library = /^(libonnxruntime\.so\.1|libonnxruntime\.1\.dylib|onnxruntime\.dll)$/;

rmSync(to, { recursive: true, force: true });
const copy = (path) => cpSync(join(from, path), join(to, path), { recursive: true });

copy("README.md");
for (const file of readdirSync(join(from, "dist"))) if (file.endsWith(".js")) copy(join("dist", file));
for (const platform of readdirSync(join(from, "bin", "napi-v6"))) {
  for (const cpu of readdirSync(join(from, "bin", "napi-v6", platform))) {
    const folder = join("bin", "napi-v6", platform, cpu);
    const files = readdirSync(join(from, folder));
    const kept = files.filter((file) => file === "onnxruntime_binding.node" || library.test(file));
    if (kept.length !== 2) throw new Error(`${folder} of onnxruntime-node holds ${files}, not a binding and a library`);
    mkdirSync(join(to, folder), { recursive: true });
    for (const file of kept) copy(join(folder, file));
  }
}
const { name, version, license, author, repository, main } = JSON.parse(
  readFileSync(join(from, "package.json"), "utf8"),
);
writeFileSync(
  join(to, "package.json"),
  `${JSON.stringify({ name, version, license, author, repository, main, private: true }, null, 2)}\n`,
);
