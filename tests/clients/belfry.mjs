// One Belfry process for a test: bin/belfry as a person would start it, on free
// ports of the loopback, with a data directory of its own.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const program = fileURLToPath(new URL("../../bin/belfry", import.meta.url));
const patience = 60_000; // ms to start or to stop, far above what it takes

export class Belfry {
  only = []; // flags that choose what runs; none = everything

  /** A running Belfry that ends, and whose data goes, when the test does; settings as "key=value". */
  static async start(t, ...settings) {
    const belfry = new this();
    belfry.settings = settings.flatMap((s) => ["--set", s]);
    belfry.dir = await mkdtemp(join(tmpdir(), "belfry-clients-"));
    t.after(async () => {
      await belfry.stop();
      await rm(belfry.dir, { recursive: true });
    });
    await belfry.start();
    return belfry;
  }

  /** One more gateway on another's NATS server, with its secret, as another replica is. */
  static async beside(t, other) {
    const belfry = new Belfry();
    belfry.settings = ["--only", "gateway", "--nats-url", `nats://${other.nats}`, "--nats-user", "service", "--nats-password-file", join(other.dir, "nats-service.password")];
    belfry.dir = other.dir;
    t.after(() => belfry.stop());
    await belfry.start();
    return belfry;
  }

  /**
   * Starts the process: on free ports the first time, then on the same ones,
   * unless others are given. Sets url, printed (the URL of the page with its
   * token), token, nats (host:port) and admin (a URL).
   */
  async start(listen = this.listen) {
    const { http, nats } = listen ?? { http: "127.0.0.1:0", nats: "127.0.0.1:0" };
    const args = ["run", "--data-dir", this.dir, "--http", http, "--nats", nats, "--admin", "127.0.0.1:0", ...this.only, ...this.settings];
    const process = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.process = process;
    this.ended = once(process, "exit");
    let said = "";
    const printed = new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not ready in time:\n${said}`)), patience);
      const read = (text) => {
        said += text;
        const open = /Open\s+(\S+#token=\S+)\n/.exec(said);
        const server = /NATS\s+nats:\/\/(\S+)\n/.exec(said);
        const admin = /Admin\s+(http\S+)/.exec(said);
        if (open && server && admin) resolve([open[1], server[1], admin[1]]), clearTimeout(late);
      };
      process.stdout.setEncoding("utf8").on("data", read);
      process.stderr.setEncoding("utf8").on("data", read);
      this.ended.then(([code]) => reject(new Error(`ended with ${code}:\n${said}`)), reject);
    });
    [this.printed, this.nats, this.admin] = await printed;
    this.url = new URL(this.printed).origin;
    this.token = this.printed.split("#token=")[1];
    this.listen ??= { http: new URL(this.url).host, nats: this.nats };
  }

  /** Ends it in order, and answers its exit code. */
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill("SIGTERM");
    const [code] = await this.ended;
    return code;
  }

  /** kill -9. */
  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  /** What bin/belfry token prints for these flags. */
  async makeToken(...flags) {
    const { stdout } = await promisify(execFile)(program, ["token", "--data-dir", this.dir, ...flags]);
    return stdout.trim();
  }

  /** Posts a structured CloudEvent, made up where nothing is given; answers {id, cursor}. */
  async post(event = {}, token = this.token) {
    const whole = { specversion: "1.0", id: crypto.randomUUID(), source: "/erp", type: "invoices.created", ...event };
    const answer = await fetch(`${this.url}/v1/events`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/cloudevents+json" },
      body: JSON.stringify(whole),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${answer.status} ${told.code}: ${told.message}`);
    return told;
  }
}
