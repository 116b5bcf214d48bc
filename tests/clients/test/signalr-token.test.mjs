// Microsoft's client while its token changes: it runs out, is taken back, grants less.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { Belfry } from "../belfry.mjs";
import { build, cable, happens, open, transports } from "../signalr.mjs";

const reconnect = Array(1000).fill(100);
const changes = (resource) => ({ e: "portos.resources.changed", r: [{ n: resource }] });

suite("signalr and tokens", { concurrency: true, timeout: 500_000 }, () => {
  const ends = [];
  let belfry;
  before(async () => {
    belfry = await Belfry.start({ after: (f) => ends.push(f) });
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  // Each test has a tenant of its own.
  let tenants = 0;
  const world = () => {
    const tenant = `T${tenants++}`;
    return { tenant, sign: (...flags) => belfry.makeToken("--tenant", tenant, ...flags) };
  };

  for (const transport of transports)
    test(`a token that runs out: the client comes back with another: ${transport}`, async (t) => {
      const { tenant, sign } = world();
      const long = await sign("--user", "anna");
      const tokens = [await sign("--user", "anna", "--ttl", "15s")];
      const factory = () => tokens.shift() ?? long;
      if (transport === "WebSockets") tokens.push(tokens[0]); // asked once more, for the socket
      const { connection, inbox } = build(belfry.url, factory, { transport, reconnect });
      t.after(() => connection.stop());
      const lost = happens(connection, "onreconnecting");
      const back = happens(connection, "onreconnected");
      await connection.start();
      assert.match((await lost).message, /token_expired/);
      await back;
      await connection.invoke("Subscribe", { e: "portos.resources.changed" });
      await belfry.post({ tenant, type: "devices.created" }, long);
      await inbox.take(1);
    });

  for (const transport of transports)
    test(`a token that is taken back: the client is told, and does not try again: ${transport}`, async (t) => {
      const { tenant, sign } = world();
      const admin = await sign("--user", "root", "--grant", "admin");
      const { connection, closed } = await open(t, belfry.url, await sign("--user", "anna"), { transport, reconnect });
      connection.onreconnecting(() => assert.fail("it tries again"));
      const answer = await fetch(`${belfry.url}/belfry.gateway.v1.GatewayService/Revoke`, {
        method: "POST",
        headers: { Authorization: `Bearer ${admin}`, "Content-Type": "application/json" },
        body: JSON.stringify({ user: "anna", tenant }),
      });
      assert.equal(answer.status, 200, await answer.text());
      assert.match((await closed).message, /token_revoked/);
    });

  test("a stateful client that comes back with a token that grants less keeps the rest", async (t) => {
    const { tenant, sign } = world();
    const all = await sign("--user", "anna");
    const less = await sign("--user", "anna", "--ttl", "48h", "--grant", "subscribe:tickets");
    const line = await cable(t, belfry.url);
    let token = all;
    const { connection, inbox } = await open(t, line.url, () => token, { stateful: true, reconnect });
    await connection.invoke("Subscribe", changes("devices"));
    await connection.invoke("Subscribe", changes("tickets"));
    const lost = happens(connection, "onreconnecting");
    const back = happens(connection, "onreconnected");
    token = less;
    line.cut();
    assert.match((await lost).message, /grant_missing: the newer token does not allow the subscription to portos\.resources\.changed: .*devices/);
    await back;
    await connection.invoke("Subscribe", changes("tickets"));
    await assert.rejects(connection.invoke("Subscribe", changes("devices")), /HubException: grant_missing/);
    for (const type of ["devices.created", "tickets.created"]) await belfry.post({ tenant, type }, all);
    assert.equal((await inbox.take(1))[0].p.n, "tickets");
  });

  test("real-time events that come while a stateful client connects do not come again", async (t) => {
    const { sign } = world();
    const token = await sign("--user", "anna");
    let n = 0;
    let going = true;
    const storm = (async () => {
      while (going) {
        await fetch(`${belfry.url}/v1/realtime`, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify({ recipient: "anna", SYS_MSG: { title: `${n++}` } }) });
      }
    })();
    for (let round = 0; round < 20; round++) {
      const line = await cable(t, belfry.url);
      const { connection, inbox } = await open(t, line.url, token, { stateful: true });
      await inbox.take(3); // not yet acknowledged
      line.cut();
      await inbox.take(inbox.events.length + 5);
      const titles = inbox.events.map((e) => Number(e.p.title));
      assert.deepEqual(titles, [...new Set(titles)].sort((a, b) => a - b));
      await connection.stop();
    }
    going = false;
    await storm;
  });

  for (const transport of ["ServerSentEvents", "LongPolling"])
    test(`who asks for stateful reconnect and gets ${transport} has what that transport has`, async (t) => {
      const { tenant, sign } = world();
      const token = await sign("--user", "anna");
      const { connection, inbox } = await open(t, belfry.url, token, { transport, stateful: true });
      await connection.invoke("Subscribe", { e: "portos.resources.changed" });
      await belfry.post({ tenant, type: "devices.created" }, token);
      await inbox.take(1);
    });
});
