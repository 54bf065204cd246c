/**
 * Energy, where the machine tells it: the counters that Intel's and AMD's processors keep for each package (RAPL), as
 * Linux shows them under /sys/class/powercap. Reading them needs permission; where it is missing there is no meter.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface EnergyMeter {
  /** Joules that all packages took since it was last asked, or made. */
  spent(): number;
}

/** @param root where the counters stand @returns undefined where none can be read */
export function openEnergyMeter(root = "/sys/class/powercap"): EnergyMeter | undefined {
  const zones = packages(root);
  if (zones.length === 0) return undefined;
  const last = zones.map(({ counter }) => counter());
  return {
    spent() {
      return zones.reduce((sum, { counter, range }, i) => {
        const now = counter();
        // The counter begins again at its range.
        const microjoules = now >= last[i] ? now - last[i] : now + range - last[i];
        last[i] = now;
        return sum + microjoules / 1e6;
      }, 0);
    },
  };
}

function packages(root: string) {
  try {
    return readdirSync(root).flatMap((name) => {
      const number = (file: string) => Number(readFileSync(join(root, name, file), "utf8"));
      // intel-rapl:0 is a package; intel-rapl:0:1 a part of it.
      if (!/^[\w-]*rapl[\w-]*:\d+$/.test(name)) return [];
      if (!readFileSync(join(root, name, "name"), "utf8").startsWith("package")) return [];
      const counter = () => number("energy_uj");
      counter();
      return [{ counter, range: number("max_energy_range_uj") }];
    });
  } catch {
    return [];
  }
}
