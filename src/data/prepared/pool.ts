/**
 * The workers that encode blocks: each works on one block at a time; answers come back to whoever asked, so the caller
 * decides the order and how much is under way.
 */
import { Worker } from "node:worker_threads";
import { UserError } from "../../util/errors.ts";
import { workerUrl } from "../../util/worker.ts";
import type { Block } from "../text/blocks.ts";
import type { Answer, EncodedBlock, WorkerSetting } from "./prepare-worker.ts";

interface Job {
  readonly block: Block;
  resolve(encoded: EncodedBlock): void;
  reject(error: unknown): void;
}

export class EncoderPool {
  readonly #workers: Worker[] = [];
  readonly #idle: Worker[] = [];
  readonly #waiting: Job[] = [];
  readonly #running = new Map<Worker, Job>();

  constructor(threads: number, setting: WorkerSetting) {
    for (let i = 0; i < threads; i++) {
      const worker = new Worker(workerUrl(import.meta.url, "./prepare-worker.ts"), { workerData: setting });
      worker.on("message", (answer: Answer) => this.#answered(worker, answer));
      worker.on("error", (error) => this.#running.get(worker)?.reject(error));
      this.#workers.push(worker);
      this.#idle.push(worker);
    }
  }

  /** Takes the block's bytes over. */
  encode(block: Block): Promise<EncodedBlock> {
    const encoded = new Promise<EncodedBlock>((resolve, reject) => {
      this.#waiting.push({ block, resolve, reject });
    });
    // Whoever awaits it later hears of a failure; until then it is not one that nobody handles.
    encoded.catch(() => {});
    this.#start();
    return encoded;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #start(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop();
      const job = this.#waiting.shift();
      if (worker === undefined || job === undefined) return;
      this.#running.set(worker, job);
      worker.postMessage(job.block, [job.block.bytes.buffer]);
    }
  }

  #answered(worker: Worker, answer: Answer): void {
    const job = this.#running.get(worker);
    this.#running.delete(worker);
    this.#idle.push(worker);
    this.#start();
    if ("encoded" in answer) job?.resolve(answer.encoded);
    else if ("refused" in answer) job?.reject(new UserError(...answer.refused));
    else job?.reject(answer.failed);
  }
}
