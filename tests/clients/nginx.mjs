// A real nginx, as ingress-nginx would set it up for the chart, in front of two gateways
// on one NATS.

import { once } from "node:events";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Belfry } from "./belfry.mjs";

const conf = readFileSync(new URL("./nginx.conf", import.meta.url), "utf8");
const patience = 60_000;

/** A gateway alone, on the NATS and with the secret of a whole Belfry. */
class Gateway extends Belfry {
  static async beside(t, whole, ...settings) {
    const own = [`nats.url=nats://${whole.nats}`, "nats.user=service", `nats.password_file=${whole.dir}/nats-service.password`, `auth.secret_file=${whole.dir}/secret`];
    return this.start(t, ...own, ...settings);
  }

  only = ["--only", "gateway"];
}

/** Two gateways, first and second, and url, where nginx is. change may write its settings anew. */
export async function behindNginx(t, { change = (text) => text, settings = [] } = {}) {
  const first = await Belfry.start(t, ...settings);
  const second = await Gateway.beside(t, first, ...settings);
  const entrance = await free();
  const hosts = [first, second].map((b) => `server ${new URL(b.url).host};`);
  const text = change(conf)
    .replace("ENTRANCE", entrance)
    .replace(/server (live-belfry-\S+);/g, (_, service) => (service.includes("gateway") ? hosts.join(" ") : hosts[0]));
  const dir = await mkdtemp(join(tmpdir(), "belfry-nginx-"));
  await writeFile(join(dir, "nginx.conf"), text);
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }; // where Debian has it
  const nginx = spawn("nginx", ["-p", dir, "-e", "stderr", "-c", join(dir, "nginx.conf"), "-g", `pid ${dir}/pid;`], { env, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  nginx.stderr.setEncoding("utf8").on("data", (text) => (said += text));
  const ended = once(nginx, "exit");
  t.after(async () => {
    nginx.kill();
    await ended;
    await rm(dir, { recursive: true });
  });
  await Promise.race([open(entrance), ended.then(([code]) => Promise.reject(new Error(`nginx ended with ${code}: ${said}`)))]);
  return { url: `http://${entrance}`, first, second };
}

/** A port that nobody has. */
async function free() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return `127.0.0.1:${port}`;
}

/** Resolves when somebody listens there. */
async function open(at) {
  const [host, port] = at.split(":");
  for (const end = Date.now() + patience; ; await new Promise((next) => setTimeout(next, 20))) {
    const socket = connect(Number(port), host);
    const answered = await new Promise((resolve) => socket.once("connect", () => resolve(true)).once("error", () => resolve(false)));
    socket.destroy();
    if (answered) return;
    if (Date.now() > end) throw new Error(`nobody listens at ${at}`);
  }
}
