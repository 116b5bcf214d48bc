// Through a real nginx, set up as the chart's Ingress asks for, in front of two gateways.

import assert from "node:assert/strict";
import { test } from "node:test";
import { behindNginx } from "../nginx.mjs";
import { openStream } from "../sse.mjs";
import { cable, happens, hub, open, patience, transports } from "../signalr.mjs";

const many = 20; // windows of a kind: that all of them are on one gateway is no chance

/** How many windows a gateway holds. */
async function windows(gateway) {
  const text = await (await fetch(`${gateway.admin}/metrics`)).text();
  return [...text.matchAll(/^belfry_gateway_connections(?:\{.*\})? (\d+)$/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
}

/** The stream from an event on, as soon as there is somebody to serve it. On Kubernetes nobody is
 * sent to a gateway that stops; here nginx learns it from its answers. */
async function again(url, token, last) {
  for (const end = Date.now() + patience; ; ) {
    try {
      return await openStream(url, token, last && { "Last-Event-ID": last });
    } catch (err) {
      if (Date.now() > end || !/^50[23]/.test(err.message)) throw err;
      await new Promise((next) => setTimeout(next, 50));
    }
  }
}

const licence = { e: "portos.licence.activated" };

test("behind nginx", { timeout: 500_000 }, async (t) => {
  const { url, first, second } = await behindNginx(t, { settings: ["gateway.drain_window=500ms"] });

  for (const transport of transports) {
    await t.test(`every request of a hub connection reaches its gateway: ${transport}`, async (t) => {
      const opened = await Promise.all(Array.from({ length: many }, () => open(t, url, first.token, { transport })));
      await Promise.all(opened.map(({ connection }) => connection.invoke("Subscribe", licence)));
      await first.post({ type: "licence.activated", data: { edition: transport } });
      for (const { inbox } of opened) assert.equal((await inbox.take(1))[0].p.edition, transport);
      const held = [await windows(first), await windows(second)];
      assert.ok(held.every((n) => n > 0), `${held} windows`);
    });
  }

  await t.test("windows that skip negotiation have no id, and are shared out all the same", async (t) => {
    await Promise.all(Array.from({ length: many }, () => open(t, url, first.token, { skip: true })));
    const held = [await windows(first), await windows(second)];
    assert.ok(held.every((n) => n > 0), `${held} windows`);
  });

  await t.test("a stateful window that lost its line finds its gateway again", async (t) => {
    const line = await cable(t, url);
    const opened = await Promise.all(Array.from({ length: 6 }, () => open(t, line.url, first.token, { stateful: true })));
    await Promise.all(opened.map(({ connection }) => connection.invoke("Subscribe", licence)));
    line.cut();
    await first.post({ type: "licence.activated", data: { edition: "missed" } });
    for (const { connection, inbox } of opened) {
      assert.equal((await inbox.take(1))[0].p.edition, "missed");
      assert.equal(connection.state, "Connected");
    }
  });

  await t.test("a batch of several mebibytes passes", async () => {
    const batch = [1, 2, 3].map((n) => ({ specversion: "1.0", id: `large-${n}`, source: "/erp", type: "files.created", data: "x".repeat(900_000) }));
    const answer = await fetch(`${url}/v1/events`, {
      method: "POST",
      headers: { Authorization: `Bearer ${first.token}`, "Content-Type": "application/cloudevents-batch+json" },
      body: JSON.stringify(batch),
    });
    assert.ok(answer.ok, `${answer.status} ${await answer.clone().text()}`);
  });

  await t.test("a long poll of a mailbox wakes, and other services are found by path", async () => {
    const call = async (method, body) => {
      const answer = await fetch(`${url}/Events/${method}`, { method: "POST", headers: { Authorization: `Bearer ${first.token}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
      assert.equal(answer.status, 200, await answer.clone().text());
      return answer.json();
    };
    await first.post({ type: "invoices.created" }); // so that the topic is known
    const { subscriberId } = await call("Register", { subscriberName: "audit" });
    await call("Subscribe", { subscriberId, compCode: "AA", topic: "invoices" });
    const peeked = call("Peek", { subscriberId, timeout: 90 });
    await first.post({ type: "invoices.created" });
    assert.equal((await peeked).messageCount, 1);
    const admin = await first.makeToken("--user", "root", "--tenant", "AA", "--grant", "admin", "--grant", "mailbox");
    for (const path of ["/v1/schedules?tenant=AA", "/v1/verdicts?tenant=AA", "/docs", "/"]) {
      const answer = await fetch(url + path, { headers: { Authorization: `Bearer ${admin}` } });
      assert.equal(answer.status, 200, `${path}: ${await answer.text()}`);
    }
  });

  await t.test("a gateway drains, and its windows go on at the other one", async (t) => {
    const windowsOfHub = await Promise.all(Array.from({ length: many }, () => open(t, url, first.token, { reconnect: Array(50).fill(200) })));
    const streams = await Promise.all(Array.from({ length: many }, () => openStream(`${url}/v1/sse?topic=orders`, first.token)));
    t.after(() => streams.forEach((s) => s.close()));
    const leaving = await windows(second);
    assert.ok(leaving > 1, `${leaving} windows`);
    const ids = ["o1", "o2", "o3"];
    const readers = streams.map(async (stream) => {
      const seen = [];
      for (let last; ; stream = await again(`${url}/v1/sse?topic=orders`, first.token, last)) {
        for await (const { id, data } of stream.messages) {
          if (id) last = id;
          const event = data && JSON.parse(data);
          if (event?.id) seen.push(event.id);
          if (seen.length === ids.length) return stream.close(), seen;
        }
      }
    });
    await first.post({ id: "o1", type: "orders.created" });
    const stopped = second.stop();
    await first.post({ id: "o2", type: "orders.created" });
    assert.equal(await stopped, 0);
    await first.post({ id: "o3", type: "orders.created" });
    for (const seen of await Promise.all(readers)) assert.deepEqual(seen, ids);
    for (const { connection } of windowsOfHub) if (connection.state !== "Connected") await happens(connection, "onreconnected");
    assert.equal(await windows(second).catch(() => 0), 0);
    await open(t, url, first.token, { transport: "LongPolling" }); // and new ones are let in
  });
});

test("without the hash on id, polling goes wrong: what the tests above would miss", async (t) => {
  const { url, first } = await behindNginx(t, { change: (text) => text.replace(/^\s*hash .*$/m, "") });
  const headers = { Authorization: `Bearer ${first.token}` };
  const { connectionToken } = await (await fetch(`${url}${hub}/negotiate?negotiateVersion=1`, { method: "POST", headers })).json();
  const stream = await openStream(`${url}${hub}?id=${connectionToken}`, first.token, { Accept: "text/event-stream" });
  t.after(() => stream.close());
  const faults = [];
  for (let i = 0; i < 4; i++) faults.push((await fetch(`${url}${hub}?id=${connectionToken}`, { method: "POST", headers, body: "" })).headers.get("Belfry-Fault"));
  assert.ok(faults.includes("connection_elsewhere"), `${faults}`);
});
