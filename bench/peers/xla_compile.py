"""Compiles StableHLO text for NVIDIA H100s on a machine without one, for bench/xla-traffic.ts: what XLA makes of it.

Needs JAX with its CUDA plugin and nvcc's files (pip install jax jax-cuda12-plugin jax-cuda12-pjrt nvidia-cuda-nvcc-cu12),
no GPU and no driver. Nothing is tuned: products are Triton's, cuDNN's plans are not built.

Reads a line of JSON: text, arguments and results ({shape, dtype, split}), donated, mesh. Answers one: memory (bytes of each
device), traffic (bytes to and from memory, by kind of kernel), collectives ({kind: [count, bytes]}), calls (custom calls).

Traffic is what all kernels read and write: their operands and results, whole; those of a loop's body as often as it runs,
those of a called computation as often as it is called. What a kernel reads twice, or finds in the cache, counts once; of a
array of which it reads only some rows or a part, these.
"""

import collections
import dataclasses
import json
import os
import re
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.export
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84942979072
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
KINDS = {"f32": np.float32, "i32": np.int32}
BYTES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "u64": 8, "s64": 8, "u16": 2, "u8": 1, "s8": 1, "f16": 2}
TYPE = re.compile(r"\b(" + "|".join(BYTES) + r")\[([\d,]*)\]")
FREE = ("get-tuple-element", "parameter", "bitcast", "tuple", "constant", "partition-id", "after-all")
COLLECTIVE = re.compile(r"(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)(-start)?$")


def size(text):
    return sum(BYTES[kind] * int(np.prod([int(n) for n in dims.split(",") if n], dtype=np.int64)) for kind, dims in TYPE.findall(text))


class Module:
    def __init__(self, text):
        self.bodies, self.entry, name = {}, None, None
        for line in text.splitlines():
            head = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line)
            if head:
                name = head.group(2)
                self.bodies[name] = []
                if head.group(1):
                    self.entry = name
            elif line.startswith(" ") and name is not None:
                self.bodies[name].append(line)
        self.traffic, self.calls, self.collectives = collections.Counter(), collections.Counter(), {}
        self.kernels = collections.Counter()
        self.count(self.entry, 1)

    def looked_up(self, name):
        """By the number of a fusion's parameter of which only rows or a part are read: the bytes of these."""
        parameters, users, kinds = {}, collections.defaultdict(list), {}
        for line in self.bodies.get(name, ()):
            found = re.match(r"\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([a-z\-]+)\((.*)", line)
            if not found:
                continue
            result, kind, op, rest = found.groups()
            kinds[result] = kind
            if op == "parameter":
                parameters[result] = int(rest.split(")")[0])
            for place, operand in enumerate(re.findall(r"%([\w.\-]+)", rest.split("), ")[0])):
                users[operand].append((op, place, size(kind)))
        rows = {}
        for parameter, number in parameters.items():
            if users[parameter] and all(op in ("gather", "dynamic-slice", "slice") and place == 0 for op, place, _ in users[parameter]):
                rows[number] = sum(bytes for _, _, bytes in users[parameter])
        return rows

    def count(self, name, times):
        types = {}
        for line in self.bodies[name]:
            found = re.match(r"\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([a-z\-]+)\((.*)", line)
            if not found:
                continue
            result, kind, op, rest = found.groups()
            types[result] = kind
            if op in FREE:
                continue
            called = dict(re.findall(r"(body|condition|to_apply|calls)=%([\w.\-]+)", rest))
            if op == "while":
                trips = re.search(r'known_trip_count":\{"n":"(\d+)"', rest)
                if trips is None:
                    raise ValueError(f"nothing says how often {result} runs")
                self.count(called["body"], times * int(trips.group(1)))
                continue
            if op == "conditional":
                raise ValueError(f"which way {result} goes is not known")
            if op == "call" or (op == "async-start" and "calls" in called):
                self.count(called.get("to_apply", called.get("calls")), times)
                continue
            if op.endswith("-done"):
                continue
            rows = self.looked_up(called.get("calls"))
            operands = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
            read = sum(rows.get(number, size(types.get(operand, ""))) for number, operand in enumerate(operands))
            together = COLLECTIVE.match(op)
            if together:
                count, bytes = self.collectives.get(together.group(1), (0, 0))
                written = size(kind) - (read if together.group(2) and kind.startswith("(") else 0)
                self.collectives[together.group(1)] = (count + times, bytes + times * (written or size(kind)))
            if op == "custom-call":
                op = re.search(r'custom_call_target="([^"]+)"', line).group(1)
                self.calls[op] += times
            if op == "fusion":
                said = re.search(r'"kind":"([^"]+)"', line) or re.search(r"kind=k(\w+)", line)
                op = f"fusion {said.group(1).strip('_')}"
            self.traffic[op] += times * (read + size(kind))
            self.kernels[op] += times


def main():
    ask = json.loads(sys.stdin.readline())
    axes = ask["mesh"]
    count = int(np.prod(list(axes.values()), dtype=int))
    there = topologies.get_topology_desc("h100", platform="cuda", topology=f"1x1x{count}", target_config=H100)
    mesh = Mesh(np.array(there.devices).reshape(tuple(axes.values())), tuple(axes))
    lying = lambda leaf: NamedSharding(mesh, PartitionSpec(*[tuple(axes) for axes in leaf["split"]]))
    into = [lying(leaf) for leaf in ask["arguments"]]
    given = [jax.ShapeDtypeStruct(leaf["shape"], KINDS[leaf["dtype"]]) for leaf in ask["arguments"]]
    made = [(leaf["shape"], KINDS[leaf["dtype"]]) for leaf in ask["results"]]
    stub = jax.jit(lambda *a: tuple(jax.numpy.zeros(*m) for m in made), keep_unused=True)
    exported = jax.export.export(stub, platforms=["cuda"])(*given)
    exported = dataclasses.replace(exported, mlir_module_serialized=ask["text"].encode())
    out = tuple(lying(leaf) for leaf in ask["results"])
    jitted = jax.jit(exported.call, in_shardings=into, out_shardings=out, donate_argnums=tuple(ask["donated"]), keep_unused=True)
    lowered = jitted.lower(*[jax.ShapeDtypeStruct(g.shape, g.dtype, sharding=s) for g, s in zip(given, into)])
    compiled = lowered.compile(compiler_options={"xla_allow_excess_precision": False})
    if os.environ.get("HLO"):
        with open(os.environ["HLO"], "w") as file:
            file.write(compiled.as_text())
    module, memory = Module(compiled.as_text()), compiled.memory_analysis()
    print(json.dumps({
        "jax": jax.__version__, "kept": memory.argument_size_in_bytes, "working": memory.temp_size_in_bytes,
        "traffic": module.traffic, "kernels": module.kernels, "collectives": module.collectives, "calls": module.calls,
    }))


main()
