import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openEnergyMeter } from "../../src/util/energy.ts";
import { temporaryFolder } from "../support.ts";

it("adds up the packages' counters, past their range, and leaves parts of a package out", () => {
  const root = temporaryFolder();
  const zone = (folder: string, name: string, microjoules: number) => {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, "name"), `${name}\n`);
    writeFileSync(join(root, folder, "energy_uj"), `${microjoules}\n`);
    writeFileSync(join(root, folder, "max_energy_range_uj"), "1000000000\n");
  };
  zone("intel-rapl:0", "package-0", 5e6);
  zone("intel-rapl:1", "package-1", 999e6);
  zone("intel-rapl:0:0", "core", 1e6);
  zone("intel-rapl:2", "psys", 1e6);
  const meter = openEnergyMeter(root);
  zone("intel-rapl:0", "package-0", 7e6);
  zone("intel-rapl:1", "package-1", 3e6);
  zone("intel-rapl:0:0", "core", 9e6);
  zone("intel-rapl:2", "psys", 9e6);
  expect(meter?.spent()).toBeCloseTo(2 + 4, 9);
  expect(meter?.spent()).toBe(0);
});

it("is absent where the machine tells nothing", () => {
  expect(openEnergyMeter(join(temporaryFolder(), "nothing"))).toBe(undefined);
  expect(openEnergyMeter(temporaryFolder())).toBe(undefined);
});
