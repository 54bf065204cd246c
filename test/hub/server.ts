/**
 * A Hub on loopback that speaks as much of the Hub's protocol as its clients use: revision, tree and file by resolve,
 * ranges, making a repository, preupload, LFS batch and upload, commit. It can ask for a token and break connections.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

type Files = Map<string, { readonly bytes: Buffer; readonly lfs: boolean }>;

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly token: string | undefined;
}

const sha = (kind: string, ...parts: (string | Buffer)[]) => {
  const hash = createHash(kind);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};
const PIECE = 2 ** 14;
const isLarge = (name: string) => name.endsWith(".safetensors");

export class LoopbackHub {
  readonly asked: Asked[] = [];
  /** The token that every request has to bear, if one is asked for. */
  token: string | undefined;
  /** The next files of LFS break off after so many bytes, once each number. */
  breaks: number[] = [];
  /** Flips a bit of the next file of LFS that is sent whole. */
  damage = 0;
  /** Milliseconds for every 16 KiB of a file, sent or taken. */
  pace = 0;
  readonly #commits = new Map<string, Files>();
  readonly #heads = new Map<string, string>();
  readonly #objects = new Map<string, Buffer>();
  #server: Server | undefined;

  async start(): Promise<string> {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => {
        // Whoever asked may be gone.
        if (!response.headersSent && !response.destroyed) response.writeHead(500).end(String(error));
      });
    });
    await new Promise<void>((ready) => this.#server?.listen(0, "127.0.0.1", ready));
    return this.address;
  }

  get address(): string {
    const at = this.#server?.address();
    if (at === null || at === undefined || typeof at === "string") throw new Error("it is not started");
    return `http://127.0.0.1:${at.port}`;
  }

  stop(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  /** Puts the files of a folder into a repository. @returns the commit */
  put(repo: string, folder: string, below = "", branch = "main"): string {
    const files: Files = new Map(this.files(repo, branch));
    for (const name of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, name));
      files.set(below === "" ? name : `${below}/${name}`, { bytes, lfs: isLarge(name) });
    }
    return this.#commit(repo, branch, files);
  }

  files(repo: string, revision = "main"): Files {
    return this.#commits.get(`${repo}@${this.#heads.get(`${repo}@${revision}`) ?? revision}`) ?? new Map();
  }

  /** As if a repository had never been, and nothing were uploaded. */
  forget(repo: string): void {
    for (const head of [...this.#heads.keys()].filter((name) => name.startsWith(`${repo}@`))) this.#heads.delete(head);
    this.#objects.clear();
  }

  #commit(repo: string, branch: string, files: Files): string {
    const listing = [...files].map(([name, { bytes }]) => `${name} ${sha("sha1", bytes)}`).sort();
    const commit = sha("sha1", listing.join("\n"));
    this.#commits.set(`${repo}@${commit}`, files);
    this.#heads.set(`${repo}@${branch}`, commit);
    return commit;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.address);
    const path = decodeURIComponent(url.pathname);
    const { range, authorization } = request.headers;
    const method = request.method ?? "GET";
    this.asked.push({ method, path, range, token: authorization });
    const parts: Buffer[] = [];
    for await (const part of request) {
      parts.push(part);
      if (this.pace > 0) await sleep((this.pace * part.length) / PIECE);
    }
    const body = Buffer.concat(parts);
    const send = (status: number, value: object) =>
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
    if (this.token !== undefined && authorization !== `Bearer ${this.token}` && !path.startsWith("/lfs/")) {
      return void send(401, { error: "Invalid username or password." });
    }
    const known = (repo: string, revision: string) => {
      const commit = this.#heads.get(`${repo}@${revision}`) ?? revision;
      const files = this.#commits.get(`${repo}@${commit}`);
      return files === undefined ? undefined : { commit, files };
    };
    const [, about, ofRevision] = /^\/api\/models\/([^/]+\/[^/]+)(?:\/revision\/(.+))?$/.exec(path) ?? [];
    if (about !== undefined) {
      const found = known(about, ofRevision ?? "main");
      if (found === undefined) return void send(404, { error: "Repository not found" });
      const siblings = [...found.files.keys()].map((rfilename) => ({ rfilename }));
      const lastModified = "2026-01-01T00:00:00.000Z";
      return void send(200, {
        _id: "1",
        id: about,
        sha: found.commit,
        private: false,
        lastModified,
        siblings,
        likes: 0,
      });
    }
    const [, tree, ofTree, below = ""] = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)(?:\/(.+))?$/.exec(path) ?? [];
    if (tree !== undefined) {
      const found = known(tree, ofTree);
      const start = below === "" ? "" : `${below}/`;
      const names = [...(found?.files.keys() ?? [])].filter((name) => name.startsWith(start));
      if (found === undefined || names.length === 0) return void send(404, { error: "Entry not found" });
      const inner = names.filter((name) => !name.slice(start.length).includes("/"));
      return void send(
        200,
        inner.map((name) => entryOf(name, found.files)),
      );
    }
    const [, repo, revision, name] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    if (repo !== undefined) {
      const found = known(repo, revision);
      const file = found?.files.get(name);
      const missing = found === undefined ? "RepoNotFound" : "EntryNotFound";
      if (found === undefined || file === undefined)
        return void response.writeHead(404, { "X-Error-Code": missing }).end();
      return await this.#send(file, found.commit, request, response);
    }
    if (path === "/api/repos/create") {
      const { organization, name: made } = JSON.parse(body.toString());
      if (this.#heads.has(`${organization}/${made}@main`)) return void send(409, { error: "You already created this" });
      this.#commit(`${organization}/${made}`, "main", new Map());
      return void send(200, { url: `${this.address}/${organization}/${made}`, id: "1" });
    }
    if (/\/preupload\//.test(path)) {
      const files: { path: string }[] = JSON.parse(body.toString()).files;
      return void send(200, {
        files: files.map((file) => ({ path: file.path, uploadMode: isLarge(file.path) ? "lfs" : "regular" })),
      });
    }
    if (path.endsWith("/info/lfs/objects/batch")) {
      const { objects }: { objects: { oid: string; size: number }[] } = JSON.parse(body.toString());
      const actions = (oid: string) =>
        this.#objects.has(oid) ? {} : { actions: { upload: { href: `${this.address}/lfs/${oid}` } } };
      return void send(200, { transfer: "basic", objects: objects.map((one) => ({ ...one, ...actions(one.oid) })) });
    }
    if (path.startsWith("/lfs/")) {
      this.#objects.set(path.slice(5), body);
      return void response.writeHead(sha("sha256", body) === path.slice(5) ? 200 : 400).end();
    }
    const [, target, branch] = /^\/api\/models\/([^/]+\/[^/]+)\/commit\/(.+)$/.exec(path) ?? [];
    if (target !== undefined) {
      const files: Files = new Map(this.files(target, branch));
      for (const line of body.toString().split("\n")) {
        const { key, value } = JSON.parse(line);
        if (key === "file") files.set(value.path, { bytes: Buffer.from(value.content, value.encoding), lfs: false });
        const object = key === "lfsFile" ? this.#objects.get(value.oid) : undefined;
        if (object !== undefined) files.set(value.path, { bytes: object, lfs: true });
      }
      const oid = this.#commit(target, branch, files);
      return void send(200, { commitOid: oid, commitUrl: `${this.address}/${target}/commit/${oid}`, hookOutput: "" });
    }
    send(404, { error: "not found" });
  }

  async #send(
    { bytes, lfs }: { bytes: Buffer; lfs: boolean },
    commit: string,
    request: IncomingMessage,
    response: ServerResponse,
  ) {
    const hash = lfs ? sha("sha256", bytes) : sha("sha1", `blob ${bytes.length}\0`, bytes);
    const [, from] = /^bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
    const start = Number(from ?? 0);
    const part = Buffer.from(bytes.subarray(start));
    if (lfs && this.damage-- > 0) part[0] ^= 1;
    response.writeHead(from === undefined ? 200 : 206, {
      ETag: `"${hash}"`,
      "X-Repo-Commit": commit,
      "Content-Length": part.length,
      ...(lfs ? { "X-Linked-Etag": `"${hash}"`, "X-Linked-Size": bytes.length } : {}),
      ...(from === undefined ? {} : { "Content-Range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    });
    const ends = lfs && request.method !== "HEAD" ? this.breaks.shift() : undefined;
    const paced = this.pace > 0 && ends === undefined && request.method !== "HEAD";
    for (let at = 0; paced && at < part.length && !response.destroyed; at += PIECE) {
      response.write(part.subarray(at, at + PIECE));
      await sleep(this.pace);
    }
    if (request.method === "HEAD" || paced) response.end();
    else if (ends === undefined) response.end(part);
    else response.write(part.subarray(0, ends), () => response.destroy());
  }
}

function entryOf(name: string, files: Files): object {
  const { bytes, lfs } = files.get(name) ?? { bytes: Buffer.alloc(0), lfs: false };
  const oid = sha("sha1", `blob ${bytes.length}\0`, bytes);
  const large = lfs ? { lfs: { oid: sha("sha256", bytes), size: bytes.length, pointerSize: 130 } } : {};
  return { type: "file", path: name, size: bytes.length, oid, ...large };
}
