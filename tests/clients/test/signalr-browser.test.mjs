// Microsoft's client in a browser, on a page of another origin.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Belfry } from "../belfry.mjs";
import { launch } from "../browser.mjs";
import * as portos from "../portos.mjs";
import { hub, transports } from "../signalr.mjs";

const bundle = (name) => readFileSync(createRequire(import.meta.url).resolve(name), "utf8");
const scripts = { "/signalr.js": bundle("@microsoft/signalr/dist/browser/signalr.js"), "/msgpack.js": bundle("@microsoft/signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js") };

/** A page on a port of its own, which is an origin of its own. */
async function elsewhere(t) {
  const server = createServer((request, answer) => {
    answer.setHeader("Content-Type", request.url in scripts ? "text/javascript" : "text/html");
    answer.end(scripts[request.url] ?? '<!doctype html><title>elsewhere</title><script src="/signalr.js"></script><script src="/msgpack.js"></script>');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${server.address().port}`;
}

/** Runs the text's code in the page; window.seen is what has come. */
async function run(page, origin, program) {
  await page.goto(origin);
  await page.evaluate(async (program) => {
    window.seen = [];
    const AsyncFunction = (async () => {}).constructor;
    window.portos = await new AsyncFunction("signalR", "seen", program)(window.signalR, (message) => window.seen.push(message));
  }, program);
}

test("signalr in a browser", { timeout: 500_000 }, async (t) => {
  const origin = await elsewhere(t);
  const belfry = await Belfry.start(t, `gateway.allowed_origins=${new URL(origin).host}`);
  const browser = await launch(t);

  for (const [transport, protocol] of [...transports.map((t) => [t, ""]), ["WebSockets", "msgpack"], ["LongPolling", "msgpack"]]) {
    await t.test(`the code of the PORTOS text: ${transport} ${protocol}`, async (t) => {
      const page = await browser.newPage();
      t.after(() => page.close());
      const line = protocol && "    .withHubProtocol(new signalR.protocols.msgpack.MessagePackHubProtocol())\n";
      await run(page, origin, portos.program(belfry.url, belfry.token, transport, line));
      await belfry.post({ type: "tickets.created", subject: "not asked for" });
      await belfry.post({ type: "devices.updated", subject: "d1", data: { name: "till" } });
      await belfry.post({ type: "licence.activated", data: { edition: "Standard" } });
      await page.waitForFunction(() => window.seen.length === 2);
      await page.evaluate(() => window.portos.unsubscribe());
      await belfry.post({ type: "licence.activated", data: { edition: "unheard" } });
      await belfry.post({ type: "devices.deleted", subject: "d2" });
      await page.waitForFunction(() => window.seen.length === 3);
      const seen = await page.evaluate(() => window.seen);
      assert.deepEqual(seen.map((m) => [m.e, m.p.a, m.p.i?.i, m.p.edition]), [
        ["portos.resources.changed", 2, "d1", undefined],
        ["portos.licence.activated", undefined, undefined, "Standard"],
        ["portos.resources.changed", 3, "d2", undefined],
      ]);
      assert.ok(seen.every((m) => typeof m.ca === "string" && m.r === null && m.ea === null && m.s.u.f === null));
      // It says goodbye, and then DELETE: there may be nothing left to delete.
      const deleted = transport === "LongPolling" && page.waitForResponse((r) => r.request().method() === "DELETE" && [202, 404].includes(r.status()));
      await page.evaluate(() => window.portos.connection.stop());
      await deleted;
    });
  }

  await t.test("a page of an origin that is not allowed connects by no transport", async (t) => {
    const stranger = await elsewhere(t);
    const page = await browser.newPage();
    t.after(() => page.close());
    for (const transport of transports) await assert.rejects(run(page, stranger, portos.program(belfry.url, belfry.token, transport)), /Failed to complete negotiation/);
    await assert.rejects(run(page, stranger, portos.program(belfry.url, belfry.token, "WebSockets").replace(", transport:", ", skipNegotiation: true, transport:")), /WebSocket failed to connect/);
  });

  await t.test("a page sees the status of a refusal", async (t) => {
    const page = await browser.newPage();
    t.after(() => page.close());
    await assert.rejects(run(page, origin, portos.program(belfry.url, "nonsense", "WebSockets")), /401/);
    const refused = await page.evaluate(async ([url, token]) => {
      const answer = await fetch(`${url}?id=nonsense`, { headers: { Authorization: `Bearer ${token}` }, credentials: "include" });
      return [answer.status, answer.headers.get("Belfry-Fault")];
    }, [belfry.url + hub, belfry.token]);
    assert.deepEqual(refused, [404, "connection_unknown"]);
  });
});
