// Microsoft's client as the tests use it: what came is kept, and can be waited for.

import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { createServer as createHttpServer, request as ask } from "node:http";
import { createServer, connect as dial } from "node:net";
import { once } from "node:events";

export const hub = "/signalr/v1/mainHub";
export const transports = ["WebSockets", "ServerSentEvents", "LongPolling"];
export const patience = 60_000;

/** Events that come in, in order, and whoever waits for them. */
export class Inbox {
  events = [];
  #waiting = [];

  seen = (message) => {
    this.events.push(message);
    this.#waiting = this.#waiting.filter((look) => !look());
  };

  /** The first n events, when they are there. */
  async take(n) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${this.events.length} of ${n} events came: ${JSON.stringify(this.events).slice(0, 500)}`)), patience);
      const look = () => this.events.length >= n && (clearTimeout(late), resolve(this.events.slice(0, n)), true);
      if (!look()) this.#waiting.push(look);
    });
  }
}

/** A connection that is started, with its events in an Inbox; it stops with the test. */
export async function open(t, url, token, options = {}) {
  const client = build(url, token, options);
  t.after(() => client.connection.stop().catch(() => {}));
  await client.connection.start();
  return client;
}

/** The same, not started. options: transport, binary, stateful, reconnect (delays), skip, query; token may be a factory. */
export function build(url, token, { transport = "WebSockets", binary, stateful, reconnect, skip, query = "" } = {}) {
  const said = [];
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(url + hub + query, { accessTokenFactory: typeof token === "function" ? token : () => token, transport: signalR.HttpTransportType[transport], skipNegotiation: skip })
    .configureLogging({ log: (_, text) => said.push(text) });
  if (binary) builder.withHubProtocol(new MessagePackHubProtocol());
  if (stateful) builder.withStatefulReconnect();
  if (reconnect) builder.withAutomaticReconnect(reconnect);
  const connection = builder.build();
  const inbox = new Inbox();
  connection.on("OnEvent", inbox.seen);
  const closed = new Promise((resolve) => connection.onclose(resolve));
  return { connection, inbox, closed, said };
}

/** Resolves when a connection calls back: happens(connection, "onreconnecting"). */
export const happens = (connection, what) =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${what}`)), patience);
    connection[what]((value) => (clearTimeout(late), resolve(value)));
  });

/**
 * A load balancer in front of several servers, HTTP/1.1 and WebSockets: pick(url, n)
 * chooses which of n gets a request.
 */
export async function balancer(t, urls, pick) {
  const to = (request) => {
    const { hostname, port } = new URL(urls[pick(new URL(request.url, "http://x"), urls.length)]);
    return { hostname, port, method: request.method, path: request.url, headers: request.headers, agent: false };
  };
  const server = createHttpServer((request, answer) => {
    const onward = ask(to(request), (got) => (answer.writeHead(got.statusCode, got.headers), answer.flushHeaders(), got.pipe(answer)));
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  server.on("upgrade", (request, near) => {
    const onward = ask(to(request));
    onward.on("error", () => near.destroy());
    onward.on("response", (got) => near.end(`HTTP/1.1 ${got.statusCode} no\r\n\r\n`));
    onward.on("upgrade", (got, far, head) => {
      near.write(`HTTP/1.1 101 Switching Protocols\r\n${got.rawHeaders.map((h, i) => h + (i % 2 ? "\r\n" : ": ")).join("")}\r\n`);
      near.write(head);
      for (const [from, into] of [[near, far], [far, near]]) from.on("error", () => {}).on("close", () => into.destroy()).pipe(into);
    });
    onward.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${server.address().port}`;
}

/** A way to a server that can be cut: connections break as if a cable was pulled. */
export async function cable(t, url) {
  const target = new URL(url);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = dial(Number(target.port), target.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on("close", () => (sockets.delete(from), to.destroy()));
      from.on("error", () => {});
      from.pipe(to);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const s of sockets) s.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, cut: () => sockets.forEach((s) => s.resetAndDestroy()) };
}
