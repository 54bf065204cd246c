"""Devices for the XLA engine: compiles and runs the StableHLO text it is given, and holds the tensors between runs.

It knows no model, no loss, no schedule. Frames over standard input and output, both ways: a magic word, the length of
a JSON header (u32), the length of the bytes after it (u64), header, bytes. An empty header is sent every second by a
thread of its own, so that who waits can tell a long compilation from a process that stands still.
"""
import dataclasses
import json
import math
import os
import queue
import signal
import struct
import sys
import threading
import time

MAGIC = b"b2bX"
PREFIX = struct.Struct("<4sIQ")

# Signals are for whoever started us; we end when the channel does.
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)

# The channel is ours alone: what libraries print goes to standard error.
source = os.fdopen(os.dup(0), "rb", buffering=1 << 20)
sink = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
lock = threading.Lock()
requests = queue.Queue()
answers = queue.Queue()
copies = queue.Queue()


def send(head, parts=()):
    text = json.dumps(head).encode()
    with lock:
        sink.write(PREFIX.pack(MAGIC, len(text), sum(part.nbytes for part in parts)) + text)
        for part in parts:
            sink.write(part.data)
        sink.flush()


def beat():
    while True:
        send({})
        time.sleep(1)


def take(size):
    """So many bytes of a request; where they end before, so do we."""
    data = source.read(size)
    if len(data) < size:
        os._exit(0)
    return data


def listen():
    while True:
        _, length, size = PREFIX.unpack(take(PREFIX.size))
        head = json.loads(take(length))
        requests.put((head, take(size)))


def answer(made):
    """Waits for what was computed and sends it, while the main thread goes on."""
    while True:
        ident, head, arrays = made.get()
        try:
            send({"id": ident, **head}, [np.ascontiguousarray(array) for array in arrays])
        except Exception as error:
            fail(ident, error)


def fail(ident, error):
    text = str(error).strip() or type(error).__name__
    memory = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()
    send({"id": ident, "error": "memory" if memory else type(error).__name__, "text": text.splitlines()[0][:2000]})


threading.Thread(target=beat, daemon=True).start()
threading.Thread(target=listen, daemon=True).start()

states = {}
snapshots = {}
programs = {}


def start(head, _):
    """Loads JAX; nothing else may be asked before."""
    global jax, np, KINDS
    import jax
    import jax.export
    import numpy as np

    KINDS = {"f32": np.float32, "i32": np.int32}
    for made in (answers, copies):
        threading.Thread(target=answer, args=(made,), daemon=True).start()
    return {"version": jax.__version__}, []


def join(head, _):
    """Meets the other processes. What isn't given is found from the cluster; only the address that all know listens."""
    from jax._src.clusters import ClusterEnv

    hosts = head["hosts"]
    asked = [hosts.get(key) for key in ("coordinator", "processes", "process")]
    if None in asked:
        found = ClusterEnv.auto_detect_unset_distributed_params(*asked, None, None, 60)
        if None in found[:3]:
            raise RuntimeError("neither SLURM, Kubernetes, Cloud TPU nor Open MPI was found")
    else:
        found = *asked, None
    jax.distributed.initialize(
        *found,
        cluster_detection_method="deactivate",
        coordinator_bind_address=found[0],
        initialization_timeout=hosts["patience"],
        heartbeat_timeout_seconds=20,
        shutdown_timeout_seconds=10,
    )
    return {"processes": found[1], "process": found[2]}, []


def leave(head, _):
    """Waits a while for the others to leave as well: whoever is left alone takes that for a death."""
    jax.distributed.shutdown()
    return {}, []


def devices(head, _):
    """Takes the devices that the mesh is made of, where there are so many."""
    global mesh, whole, largest
    if head["device"] != "auto":
        jax.config.update("jax_platforms", head["device"])
    # Nothing is too small to be kept, where the user keeps compilations (JAX_COMPILATION_CACHE_DIR).
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    axes = head["mesh"]
    count = math.prod(axes.values())
    # As many as are asked for, of those that cost nothing; another platform has what it has.
    jax.config.update("jax_num_cpu_devices", math.ceil(count / head["processes"]))
    there = jax.devices()
    if len(there) >= count:
        mesh = jax.sharding.Mesh(np.array(there[:count]).reshape(tuple(axes.values())), tuple(axes))
        whole = jax.jit(lambda x: x, out_shardings=lying([]))
        largest = jax.jit(lambda x: x.max(0), out_shardings=lying([]))
    return {"platform": there[0].platform, "device": there[0].device_kind, "devices": len(there)}, []


def lying(split):
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*[tuple(axes) for axes in split]))


def place(data, where):
    """A host's array among the devices, each its part."""
    return jax.make_array_from_callback(data.shape, where, lambda part: data[part])


def load(head, text):
    into = [lying(a["split"]) for a in head["arguments"]]
    given = [
        jax.ShapeDtypeStruct(a["shape"], KINDS[a["dtype"]], sharding=where) for a, where in zip(head["arguments"], into)
    ]
    made = [(r["shape"], KINDS[r["dtype"]]) for r in head["results"]]
    # The frame of an exported function with these types, and our text as what it does.
    stub = jax.jit(lambda *a: tuple(jax.numpy.zeros(*m) for m in made), keep_unused=True)
    platform = jax.devices()[0].client.platform_version.split()[0] if jax.default_backend() == "gpu" else ""
    bare = [jax.ShapeDtypeStruct(g.shape, g.dtype) for g in given]
    exported = jax.export.export(stub, platforms=[platform or jax.default_backend()])(*bare)
    exported = dataclasses.replace(exported, mlir_module_serialized=text)
    jitted = jax.jit(
        exported.call,
        in_shardings=into,
        out_shardings=tuple(lying(r["split"]) for r in head["results"]),
        donate_argnums=tuple(head["donated"]),
        keep_unused=True,
    )
    lowered = jitted.lower(*given)
    executable = lowered.compile(compiler_options={"xla_allow_excess_precision": False})
    programs[head["program"]] = head, executable, into
    memory = executable.memory_analysis()
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    if device.platform == "cpu" and hasattr(os, "sysconf"):
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.local_device_count()
    if memory is None:
        return {"held": 0, "working": 0, "limit": limit}, []
    beside = memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return {"held": memory.argument_size_in_bytes, "working": beside, "limit": limit}, []


def run(head, body):
    program, executable, into = programs[head["program"]]
    at = 0
    values = []
    for a, where in zip(program["arguments"], into):
        if a["state"]:
            values.append(states[a["name"]])
            continue
        count = int(np.prod(a["shape"], dtype=np.int64))
        values.append(place(np.frombuffer(body, KINDS[a["dtype"]], count, at).reshape(a["shape"]), where))
        at += 4 * count
    results = executable(*values)
    updates = program["updates"]
    states.update(zip(updates, results))
    return {}, results[len(updates):]


def write(head, body):
    data = np.frombuffer(body, KINDS[head["dtype"]]).reshape(head["shape"])
    states[head["name"]] = place(data, lying(head["split"]))
    return {}, []


def read(head, _):
    # Taken here, before the next run may put something else in its place.
    return {}, [local(states[head["name"]])]


def local(state):
    """A state in this machine's memory; of one that lies among several processes all must ask."""
    return np.array(state if state.is_fully_addressable or state.is_fully_replicated else whole(state))


def snapshot(head, _):
    """Keeps the states as they are now: on the devices; where those have no room or lie with several processes, here."""
    taken = snapshots[head["snapshot"]] = {}
    for name in head["names"]:
        if jax.process_count() > 1:
            one = local(states[name])
            if jax.process_index() == 0:
                taken[name] = one
            continue
        try:
            # Nothing is compiled for that, as it is for a copy of each shape.
            taken[name] = jax.device_put(states[name], states[name].sharding, may_alias=False)
        except jax.errors.JaxRuntimeError:
            taken[name] = local(states[name])
    return {}, []


def taken(head, _):
    return {}, [snapshots[head["snapshot"]][head["name"]]]


def forget(head, _):
    snapshots.pop(head["snapshot"], None)
    return {}, []


def agree(head, _):
    """The largest that any process says, number by number."""
    said = np.array([head["values"]], np.int32)
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(mesh.axis_names))
    all_rows = (mesh.size, said.shape[1])
    return {}, [largest(jax.make_array_from_callback(all_rows, rows, lambda part: said))]


def drop(head, _):
    for name in head["names"]:
        states.pop(name, None)
    return {}, []


def release(head, _):
    programs.pop(head["program"], None)
    return {}, []


ASKED = (start, join, leave, devices, load, run, write, read, snapshot, taken, forget, agree, drop, release)
BY_NAME = {one.__name__: one for one in ASKED}
while True:
    head, body = requests.get()
    try:
        result, arrays = BY_NAME[head["ask"]](head, body)
        # What lies apart need not wait for the runs that were asked for before.
        (copies if head["ask"] == "taken" else answers).put((head["id"], result, arrays))
    except Exception as error:
        fail(head["id"], error)
