// Microsoft's client, and two gateways behind a load balancer.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Belfry } from "../belfry.mjs";
import { balancer, build, cable, hub, open, transports } from "../signalr.mjs";

const byId = (url, n) => (url.searchParams.has("id") ? createHash("sha256").update(url.searchParams.get("id")).digest()[0] % n : Math.floor(Math.random() * n));

test("signalr and several replicas", { timeout: 500_000 }, async (t) => {
  const one = await Belfry.start(t);
  const two = await Belfry.beside(t, one);
  const replicas = [one.url, two.url];

  await t.test("a balancer that hashes the id serves every transport", async (t) => {
    const url = await balancer(t, replicas, byId);
    for (let round = 0; round < 4; round++) {
      const clients = await Promise.all(transports.map((transport) => open(t, url, one.token, { transport })));
      for (const { connection } of clients) await connection.invoke("Subscribe", { e: "portos.resources.changed" });
      await one.post({ type: "devices.created", subject: `${round}` });
      for (const { connection, inbox } of clients) {
        assert.equal((await inbox.take(1))[0].p.i.i, `${round}`);
        await connection.stop();
      }
    }
  });

  await t.test("WebSockets need no such thing: every replica takes every one of them", async (t) => {
    let turn = 0;
    const url = await balancer(t, replicas, (_, n) => turn++ % n); // negotiate here, connect there
    for (const skip of [false, true, true]) {
      const { connection, inbox } = await open(t, url, one.token, { skip });
      await connection.invoke("Subscribe", { e: "portos.resources.changed" });
      await two.post({ type: "devices.created" });
      await inbox.take(1);
      await connection.stop();
    }
  });

  await t.test("what lands on the wrong replica is told so", async (t) => {
    let turn = 0;
    const url = await balancer(t, replicas, (_, n) => turn++ % n);
    const { connection } = build(url, one.token, { transport: "LongPolling" });
    await assert.rejects(connection.start(), /404/);
    const headers = { Authorization: `Bearer ${one.token}` };
    const { connectionToken } = await (await fetch(`${one.url}${hub}/negotiate?negotiateVersion=1`, { method: "POST", headers })).json();
    assert.equal((await fetch(`${two.url}${hub}?id=${connectionToken}`, { headers })).status, 200);
    const wrong = await fetch(`${one.url}${hub}?id=${connectionToken}`, { headers });
    assert.deepEqual([wrong.status, wrong.headers.get("Belfry-Fault")], [404, "connection_elsewhere"]);
    assert.match((await wrong.json()).message, /is on replica .*: requests with an id must all reach the same one, so balance this path by a hash of the query parameter id/);
    assert.equal((await fetch(`${two.url}${hub}?id=${connectionToken}`, { method: "DELETE", headers })).status, 202);
  });

  await t.test("a stateful client that comes back to another replica begins anew", async (t) => {
    let where = 0;
    const url = await balancer(t, replicas, () => where);
    const line = await cable(t, url);
    const { connection, inbox } = build(line.url, one.token, { stateful: true, reconnect: Array(1000).fill(100) });
    t.after(() => connection.stop());
    await connection.start();
    const before = connection.connectionId;
    const back = new Promise((resolve) => connection.onreconnected(resolve));
    where = 1;
    line.cut();
    assert.notEqual(await back, before);
    await connection.invoke("Subscribe", { e: "portos.resources.changed" });
    await one.post({ type: "devices.created" });
    await inbox.take(1);
  });
});
