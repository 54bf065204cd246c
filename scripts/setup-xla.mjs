/**
 * Makes the Python that the XLA engine runs on: `.venv` in the package's folder, with JAX for the CPU, with `--cuda` for
 * NVIDIA GPUs, with `--tpu` for TPUs.
 *   npm run setup:xla -- --cuda
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = { "": "jax>=0.10,<0.13", "--cuda": "jax[cuda12]>=0.10,<0.13", "--tpu": "jax[tpu]>=0.10,<0.13" };
const [option = "", ...more] = process.argv.slice(2);
if (packages[option] === undefined || more.length > 0) {
  console.error("error: setup:xla: takes nothing, or one of --cuda, --tpu");
  process.exit(2);
}
const windows = process.platform === "win32";
const folder = fileURLToPath(new URL("../.venv", import.meta.url));
const python = join(folder, ...(windows ? ["Scripts", "python.exe"] : ["bin", "python"]));

function run(command, args) {
  console.error(`${command} ${args.join(" ")}`);
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (status === 0) return;
  console.error(`error: setup:xla: ${error === undefined ? `that ended with code ${status}` : error.message}`);
  console.error(
    "hint: it takes Python 3.11 or later with its venv module (Debian, Ubuntu: python3-venv), and the network",
  );
  process.exit(2);
}

run(process.env.PYTHON ?? (windows ? "python" : "python3"), ["-m", "venv", folder]);
run(python, ["-m", "pip", "install", "--upgrade", packages[option]]);
run(python, ["-c", "import jax; print(f'JAX {jax.__version__}: {jax.devices()}')"]);
