import { mkdirSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/util/errors.ts";
import { checkMemory, memoryRoom } from "../../src/util/memory.ts";
import { temporaryFolder } from "../support.ts";

function machine(files: Readonly<Record<string, string>>): string {
  const root = temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const meminfo =
  "MemTotal:       8000 kB\nMemFree:  1000 kB\nMemAvailable:   4000 kB\nSwapTotal: 500 kB\nSwapFree: 100 kB\n";

describe("the memory that can be had", () => {
  it("is what the kernel says, swap with it", () => {
    expect(memoryRoom(machine({ "proc/meminfo": meminfo }))).toEqual({ bytes: 4100 * 1024, of: "this machine" });
  });

  it("is the machine's where the system does not tell", () => {
    expect(memoryRoom(machine({}))).toEqual({ bytes: totalmem(), of: "this machine" });
  });

  it("is not more than a control group leaves, nor than one above it does", () => {
    const files = {
      "proc/meminfo": meminfo,
      "proc/self/cgroup": "0::/a/b\n",
      "sys/fs/cgroup/a/b/memory.max": "max\n",
      "sys/fs/cgroup/a/b/memory.current": "100\n",
      "sys/fs/cgroup/a/memory.max": "1000000\n",
      "sys/fs/cgroup/a/memory.current": "900000\n",
      "sys/fs/cgroup/a/memory.stat": "anon 500000\ninactive_file 300000\nactive_file 100000\n",
    };
    expect(memoryRoom(machine(files))).toEqual({ bytes: 500_000, of: "the control group of this process" });
  });

  it("is found in version 1 as well, where the path is the host's and the mount the container's", () => {
    const files = {
      "proc/meminfo": meminfo,
      "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/abc\n0::/\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
      "sys/fs/cgroup/memory/memory.usage_in_bytes": "1500000\n",
      "sys/fs/cgroup/memory/memory.stat": "cache 9\ntotal_inactive_file 1000\ntotal_active_file 0\n",
    };
    expect(memoryRoom(machine(files)).bytes).toBe(501_000);
  });

  it("is more than nothing here, and what does not fit is refused", () => {
    const room = memoryRoom();
    expect(room.bytes).toBeGreaterThan(0);
    checkMemory(room.bytes, "it", "x", "y", room);
    expect(() => checkMemory(room.bytes + 1, "it", "x", "y", room)).toThrow(UserError);
  });
});
