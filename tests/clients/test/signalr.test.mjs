// Microsoft's own client, as it comes from npm.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { once } from "node:events";
import { after, before, suite, test } from "node:test";
import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import WebSocket from "ws";
import { Belfry } from "../belfry.mjs";
import * as portos from "../portos.mjs";
import { Inbox, build, cable, happens, hub, open, transports } from "../signalr.mjs";

const AsyncFunction = (async () => {}).constructor;
const forms = transports.flatMap((transport) => [{ transport }, ...(transport === "ServerSentEvents" ? [] : [{ transport, binary: true }])]);
const nameOf = ({ transport, binary }) => `${transport}, ${binary ? "messagepack" : "json"}`;

// One process for all tests that do not end it, and all of these at once: some have
// to be idle for long.
suite("signalr", { concurrency: true, timeout: 500_000 }, () => {
  const ends = [];
  const whole = { after: (f) => ends.push(f) };
  let belfry;
  before(async () => {
    belfry = await Belfry.start(whole);
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  // A user of a tenant of its own, so that tests do not hear each other.
  let tenants = 0;
  const stranger = async (...grants) => {
    const tenant = `T${tenants++}`;
    const token = await belfry.makeToken("--user", "anna", "--tenant", tenant, ...grants.flatMap((g) => ["--grant", g]));
    const publisher = grants.length ? await belfry.makeToken("--user", "erp", "--tenant", tenant) : token;
    return { token, tenant, post: (event) => belfry.post({ tenant, ...event }, publisher) };
  };

  for (const form of forms) {
    test(`the code of the PORTOS text: ${nameOf(form)}`, async (t) => {
      const { token, post } = await stranger();
      const inbox = new Inbox();
      const protocol = form.binary ? "    .withHubProtocol(new signalR.MessagePackHubProtocol())\n" : "";
      const program = new AsyncFunction("signalR", "seen", portos.program(belfry.url, token, form.transport, protocol));
      const { connection, unsubscribe } = await program({ ...signalR, MessagePackHubProtocol }, inbox.seen);
      t.after(() => connection.stop());

      await post({ type: "tickets.created", subject: "not asked for" });
      await post({ type: "devices.created", subject: "d1", source: "/portos", time: "2024-07-01T12:51:52.558Z", senderconnection: "c-81", correlationid: "ref", expirytime: "2100-01-01T00:00:00Z", objectversion: 7, data: { name: "till" } });
      await post({ type: "devices.deleted", subject: "d1", time: "2024-07-01T12:51:53.558Z" });
      await post({ type: "licence.activated", time: "2024-07-01T12:51:54.558Z", data: { edition: "Standard", validTo: "2027-01-05" } });
      const system = { u: "SYSTEM", d: "SYSTEM", f: null };
      assert.deepEqual(await inbox.take(3), [
        {
          e: "portos.resources.changed", s: { c: "c-81", u: system }, r: "ref", ca: "2024-07-01T12:51:52.558Z", ea: "2100-01-01T00:00:00Z",
          p: { u: system, n: "devices", a: 1, i: { i: "d1", n: "devices", v: 7 }, r: [{ name: "till" }] },
        },
        {
          e: "portos.resources.changed", s: { c: "", u: system }, r: null, ca: "2024-07-01T12:51:53.558Z", ea: null,
          p: { u: system, n: "devices", a: 3, i: { i: "d1", n: "devices", v: null }, r: [] },
        },
        { e: "portos.licence.activated", s: { c: "", u: system }, r: null, ca: "2024-07-01T12:51:54.558Z", ea: null, p: { edition: "Standard", validTo: "2027-01-05" } },
      ]);
      await unsubscribe();
      await post({ type: "licence.activated" });
      await post({ type: "devices.updated", subject: "last" });
      assert.equal((await inbox.take(4))[3].p.i.i, "last");
    });
  }

  test("filters by resource and action, added and taken away", async (t) => {
    const { token, post } = await stranger();
    const { connection, inbox } = await open(t, belfry.url, token);
    const subscribe = (...r) => connection.invoke("Subscribe", { e: "PORTOS.resources.Changed", r });
    const unsubscribe = (...r) => connection.invoke("Unsubscribe", { e: "portos.resources.changed", r });
    const all = async () => {
      for (const type of ["devices", "tickets", "users"]) for (const verb of ["created", "updated", "deleted"]) await post({ type: `${type}.${verb}` });
      await post({ type: "marks.created" });
    };
    await subscribe({ n: "marks" });
    let seen = 0;
    const came = async (...want) => {
      await all();
      const events = (await inbox.take(seen + want.length + 1)).slice(seen);
      seen += want.length + 1;
      assert.deepEqual(events.map((e) => `${e.p.n} ${e.p.a}`), [...want, "marks 1"]);
    };
    await subscribe({ n: "Devices", a: ["Created", "deleted"] }, { n: "tickets", a: [] });
    await came("devices 1", "devices 3", "tickets 1", "tickets 2", "tickets 3");
    await subscribe({ n: "tickets", a: null }, { n: "devices", a: ["DELETED", "created"] }); // the same again is one
    await subscribe({ n: "devices", a: ["created", "updated"] }); // and what overlaps comes once
    await came("devices 1", "devices 2", "devices 3", "tickets 1", "tickets 2", "tickets 3");
    await unsubscribe({ n: "devices" }); // none with these parameters
    await unsubscribe({ n: "devices", a: ["created", "deleted"] }, { n: "tickets" });
    await came("devices 1", "devices 2");
    await unsubscribe({ n: "devices", a: ["updated", "created"] });
    await came();
    await connection.invoke("Subscribe", { e: "frm.objectUpdate", r: null });
    await connection.invoke("Subscribe", { e: "sys.newUser" });
    await post({ type: "tickets.updated", subject: "7" });
    await post({ type: "users.created", subject: "42" });
    const views = (await inbox.take(seen + 2)).slice(seen);
    assert.deepEqual(views.map((e) => e.e), ["frm.objectUpdate", "sys.newUser"]);
    assert.equal(views[1].p.sysUserID, "42");
  });

  test("says what is wrong with a subscription, and goes on", async (t) => {
    const { token, post, tenant } = await stranger();
    const { connection, inbox } = await open(t, belfry.url, token);
    const hubException = (method, text) => ({ message: `An unexpected error occurred invoking '${method}' on the server. HubException: ${text}` });
    for (const [request, text] of [
      [{ e: "portos.nothing" }, `unknown_name: e: "portos.nothing" is not the name of an event`],
      [{ e: "" }, "invalid_request: e: is missing: the name of an event"],
      [{}, "invalid_request: e: is missing: the name of an event"],
      [{ e: "portos.resources.changed", r: [{}] }, "invalid_request: r[0].n: is missing: the name of a resource"],
      [{ e: "portos.resources.changed", r: [{ n: "devices", a: ["created", "seen"] }] }, `invalid_request: r[0].a[1]: "seen" is none of created, updated, deleted`],
      [{ e: "portos.licence.activated", r: [{ n: "devices" }] }, "invalid_request: r: goes with portos.resources.changed only"],
      [{ e: "portos.resources.changed", resources: [] }, `invalid_request: a subscription has e, and r with n and a; unknown field "resources"`],
    ]) {
      await assert.rejects(connection.invoke("Subscribe", request), hubException("Subscribe", text));
      await assert.rejects(connection.invoke("Unsubscribe", request), hubException("Unsubscribe", text));
    }
    await assert.rejects(connection.invoke("Subscribe", { e: "MAIL" }), /MAIL is a real-time event: these come without subscribing/);
    for (const wrong of [[], ["portos.licence.activated"], [null], [{ e: 7 }], [{ e: "portos.licence.activated" }, {}]])
      await assert.rejects(connection.invoke("Subscribe", ...wrong), { message: "Failed to invoke 'Subscribe' due to an error on the server." });
    await assert.rejects(connection.invoke("Publish", {}), { message: "Unknown hub method 'Publish'" });
    await new Promise((resolve) => connection.stream("Subscribe", {}).subscribe({ next() {}, complete() {}, error: (e) => resolve(assert.match(e.message, /non-streaming 'Subscribe'/)) }));

    const few = await belfry.makeToken("--user", "eva", "--tenant", tenant, "--grant", "subscribe:devices");
    const reader = await open(t, belfry.url, few);
    await assert.rejects(reader.connection.invoke("Subscribe", { e: "portos.resources.changed" }), /grant_missing/);
    await assert.rejects(reader.connection.invoke("Subscribe", { e: "portos.resources.changed", r: [{ n: "devices" }, { n: "tickets" }] }), /grant_missing/);
    await reader.connection.invoke("Subscribe", { e: "portos.resources.changed", r: [{ n: "devices" }] });
    await connection.send("Subscribe", { e: "portos.resources.changed" });
    await connection.invoke("Unsubscribe", { e: "portos.licence.activated" }); // what was sent before is done
    await post({ type: "tickets.created" });
    await post({ type: "devices.created" });
    assert.equal((await reader.inbox.take(1))[0].p.n, "devices");
    assert.deepEqual((await inbox.take(2)).map((e) => e.p.n), ["tickets", "devices"]);
  });

  test("real-time events reach every connection of the user, whatever it speaks", async (t) => {
    const { token, tenant } = await stranger();
    const clients = await Promise.all(forms.map((form) => open(t, belfry.url, token, form)));
    const other = await open(t, belfry.url, await belfry.makeToken("--user", "eva", "--tenant", tenant));
    const narrow = await open(t, belfry.url, token, { query: "?code=MAIL" });
    await assert.rejects(open(t, belfry.url, token, { query: "?code=MAILS", skip: true }), /MAILS/);
    const notify = async (body) => {
      const answer = await fetch(`${belfry.url}/v1/realtime`, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
      return answer.json();
    };
    assert.equal((await notify({ recipient: "anna", MAIL: { from: "jan@example.com", unreadCount: 3 } })).connections, forms.length + 1);
    assert.equal((await notify({ SYS_MSG: { title: "Closing" } })).connections, forms.length + 1);
    for (const { inbox } of clients) {
      const [mail, closing] = await inbox.take(2);
      assert.deepEqual([mail.e, mail.p.from, mail.p.unreadCount, mail.ea], ["MAIL", "jan@example.com", 3, null]);
      assert.deepEqual([closing.e, closing.p.title], ["SYS_MSG", "Closing"]);
      assert.match(mail.ca, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    }
    assert.deepEqual((await other.inbox.take(1)).map((e) => e.e), ["SYS_MSG"]);
    assert.deepEqual(narrow.inbox.events.map((e) => e.e), ["MAIL"]);
  });

  test("two connections of one user have each their own subscriptions", async (t) => {
    const { token, post } = await stranger();
    const [one, two] = await Promise.all([open(t, belfry.url, token, { skip: true }), open(t, belfry.url, token)]);
    assert.equal(one.connection.connectionId, null);
    assert.ok(two.connection.connectionId);
    await one.connection.invoke("Subscribe", { e: "portos.resources.changed", r: [{ n: "devices" }] });
    await two.connection.invoke("Subscribe", { e: "portos.resources.changed" });
    await post({ type: "tickets.created" });
    await post({ type: "devices.created" });
    assert.deepEqual((await one.inbox.take(1)).map((e) => e.p.n), ["devices"]);
    assert.deepEqual((await two.inbox.take(2)).map((e) => e.p.n), ["tickets", "devices"]);
    await one.connection.stop();
    await post({ type: "devices.deleted" });
    await two.inbox.take(3);
    assert.equal(one.inbox.events.length, 1);
  });

  for (const form of forms) {
    test(`1,000 calls at once: ${nameOf(form)}`, async (t) => {
      const { token } = await stranger();
      const { connection } = await open(t, belfry.url, token, form);
      const calls = Array.from({ length: 1000 }, (_, n) =>
        n % 10 ? connection.invoke("Subscribe", { e: "portos.resources.changed", r: [{ n: `r${n % 50}` }] }) : assert.rejects(connection.invoke("Subscribe", { e: `no.${n}` }), new RegExp(`no\\.${n}"`)),
      );
      await Promise.all(calls);
    });

    test(`stays when idle for longer than any timeout: ${nameOf(form)}`, async (t) => {
      const { token, post } = await stranger();
      const { connection, inbox, closed } = await open(t, belfry.url, token, form);
      await connection.invoke("Subscribe", { e: "portos.resources.changed" });
      const idle = new Promise((resolve) => setTimeout(resolve, 37_000, "idle"));
      assert.equal(await Promise.race([idle, closed.then((e) => `closed: ${e}`)]), "idle");
      await post({ type: "devices.created", subject: "still" });
      assert.equal((await inbox.take(1))[0].p.i.i, "still");
    });

    test(`a burst comes whole: ${nameOf(form)}`, async (t) => {
      const { token, post } = await stranger();
      const { connection, inbox } = await open(t, belfry.url, token, form);
      await connection.invoke("Subscribe", { e: "portos.resources.changed" });
      const note = "x".repeat(300);
      for (let n = 0; n < 300; n += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => post({ type: "devices.updated", subject: `${n + i}`, data: { note } })));
      const events = await inbox.take(300);
      assert.equal(new Set(events.map((e) => e.p.i.i)).size, 300);
    });
  }

  test("an event that has expired is not delivered", async (t) => {
    const { token, post } = await stranger();
    const { connection, inbox } = await open(t, belfry.url, token);
    await connection.invoke("Subscribe", { e: "portos.resources.changed" });
    await post({ type: "devices.created", subject: "late", time: "2019-12-31T00:00:00Z", expirytime: "2020-01-01T00:00:00Z" });
    await post({ type: "devices.created", subject: "in time" });
    assert.equal((await inbox.take(1))[0].p.i.i, "in time");
  });

  for (const binary of [false, true]) {
    test(`stateful reconnect loses nothing and repeats nothing: ${binary ? "messagepack" : "json"}`, async (t) => {
      const { token, post } = await stranger();
      const line = await cable(t, belfry.url);
      const { connection, inbox, said } = await open(t, line.url, token, { stateful: true, binary });
      const states = [];
      connection.onreconnecting(() => states.push("reconnecting"));
      connection.onclose((e) => states.push(`closed: ${e}`));
      await connection.invoke("Subscribe", { e: "portos.resources.changed" });
      const id = connection.connectionId;
      let n = 0;
      let results = 0;
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 25; i++, n++) {
          await post({ type: "devices.updated", subject: `${n}` });
          if (i === 10) line.cut();
          connection.invoke("Subscribe", { e: "portos.resources.changed", r: [{ n: `r${n}` }] }).then(() => results++);
        }
        await inbox.take(n); // the next cut is another
      }
      const events = await inbox.take(100);
      assert.deepEqual(events.map((e) => e.p.i.i), Array.from({ length: 100 }, (_, i) => `${i}`));
      await connection.invoke("Unsubscribe", { e: "portos.resources.changed" });
      assert.deepEqual([results, states, connection.connectionId, inbox.events.length], [100, [], id, 100]);
      assert.equal(said.filter((s) => /WebSocket connected/.test(s)).length, 5);
    });
  }

  // Sockets of our own, to send what no client would.
  const raw = async (t, token) => {
    const ws = new WebSocket(`${belfry.url.replace("http", "ws")}${hub}?access_token=${token}`);
    t.after(() => ws.terminate());
    const messages = [];
    ws.on("message", (data) => messages.push(...data.toString("utf8").split("\x1e").filter(Boolean)));
    ws.on("error", () => {});
    await once(ws, "open");
    return { ws, messages, closed: once(ws, "close").then(([code]) => code) };
  };

  test("what is no client's does not disturb others", async (t) => {
    const { token, post } = await stranger();
    const good = await open(t, belfry.url, token);
    await good.connection.invoke("Subscribe", { e: "portos.resources.changed" });
    const shake = '{"protocol":"json","version":1}\x1e';
    for (const [sent, told] of [
      [["garbage\x1e"], /^\{"error":"invalid_frame: a connection begins with/],
      [['{"protocol":"xml","version":1}\x1e'], /^\{"error":"invalid_frame: the protocol 'xml'/],
      [['{"protocol":"json","version":9}\x1e'], /^\{"error":"invalid_frame: version 9/],
      [[shake, "garbage\x1e"], /^\{"type":7,"error":"invalid_frame: /],
      [[shake, '{"type":1}\x1e'], /^\{"type":7,"error":"invalid_frame: .*target/],
      [[shake, `{"type":1,"target":"${"x".repeat(40_000)}`], /^\{"type":7,"error":"frame_too_large: a hub message may have 32768 bytes"/],
      [[shake, Buffer.from([0xff, 0xfe, 0x1e])], /^\{"type":7,"error":"invalid_frame: .*UTF-8/],
    ]) {
      const { ws, messages, closed } = await raw(t, token);
      for (const frame of sent) ws.send(frame);
      assert.equal(await closed, 1000);
      assert.match(messages.at(-1), told);
    }
    // Half frames, and then nothing.
    for (const frame of ['{"proto', `${shake}{"type":1,"tar`]) {
      const { ws, closed } = await raw(t, token);
      ws.send(frame);
      ws.terminate();
      await closed;
    }
    await post({ type: "devices.created" });
    await good.inbox.take(1);
  });

  test("a connection token is one user's", async (t) => {
    const { token, tenant } = await stranger();
    const eva = await belfry.makeToken("--user", "eva", "--tenant", tenant);
    const negotiate = async (bearer) => {
      const answer = await fetch(`${belfry.url}${hub}/negotiate?negotiateVersion=1`, { method: "POST", headers: { Authorization: `Bearer ${bearer}` } });
      return { status: answer.status, fault: answer.headers.get("Belfry-Fault"), ...(await answer.json()) };
    };
    const { connectionToken } = await negotiate(token);
    for (const [bearer, status, fault] of [[eva, 403, "connection_forbidden"], ["nonsense", 401, "token_invalid"], [token, 200, null], [token, 409, "connection_in_use"]]) {
      const answer = await fetch(`${belfry.url}${hub}?id=${connectionToken}`, { headers: { Authorization: `Bearer ${bearer}`, Accept: "text/event-stream" } });
      assert.deepEqual([answer.status, answer.headers.get("Belfry-Fault")], [status, fault]);
    }
    assert.deepEqual([(await negotiate("nonsense")).status, (await negotiate("nonsense")).code], [401, "token_invalid"]);
    await assert.rejects(build(belfry.url, "nonsense").connection.start(), /401/);
  });

  test("its parsers read the golden frames", () => {
    const dir = new URL("../../../proto/testdata/signalr/", import.meta.url);
    const protocols = { ".json": [new signalR.JsonHubProtocol(), (b) => b.toString()], ".hex": [new MessagePackHubProtocol(), (b) => Uint8Array.from(Buffer.from(b.toString().trim(), "hex")).buffer] };
    const read = {};
    for (const file of readdirSync(dir)) {
      const [, name, ext] = /^(.*)(\.json|\.hex)$/.exec(file);
      if (name.startsWith("client-stream") || name === "client-cancel") continue; // what servers read, its parser does not
      const [protocol, decode] = protocols[ext];
      const messages = protocol.parseMessages(decode(readFileSync(new URL(file, dir))), signalR.NullLogger.instance);
      assert.equal(messages.length, 1, file);
      const { headers, ...message } = messages[0];
      const same = Object.fromEntries(Object.entries(message).filter(([key, value]) => value != null && !(key === "allowReconnect" && !value) && !(key === "streamIds" && !value.length) && !(key === "invocationId" && !value)));
      (read[name] ??= []).push(same);
    }
    for (const [name, [a, b]] of Object.entries(read)) assert.deepEqual(a, b, name);
  });
});

test("automatic reconnect after a restart, and after kill -9", async (t) => {
  const belfry = await Belfry.start(t);
  const clients = await Promise.all(forms.map((form) => open(t, belfry.url, belfry.token, { ...form, reconnect: Array(1000).fill(100) })));
  for (const end of ["stop", "kill"]) {
    const reconnecting = clients.map(({ connection }) => happens(connection, "onreconnecting"));
    const reconnected = clients.map(({ connection }) => happens(connection, "onreconnected"));
    await belfry[end]();
    const errors = await Promise.all(reconnecting);
    if (end === "stop") assert.deepEqual(errors, errors.map(() => undefined)); // Close with allowReconnect, and no error
    await belfry.start();
    const ids = await Promise.all(reconnected);
    assert.equal(new Set(ids).size, clients.length);
    for (const { connection } of clients) await connection.invoke("Subscribe", { e: "portos.resources.changed" });
    const before = clients.map(({ inbox }) => inbox.events.length);
    await belfry.post({ type: "devices.created" });
    await Promise.all(clients.map(({ inbox }, n) => inbox.take(before[n] + 1)));
  }
});

test("a graceful stop is seen as Close with allowReconnect", async (t) => {
  const belfry = await Belfry.start(t);
  const plain = await Promise.all(forms.map((form) => open(t, belfry.url, belfry.token, form)));
  const stateful = await open(t, belfry.url, belfry.token, { stateful: true });
  assert.equal(await belfry.stop(), 0);
  for (const { closed, said } of [...plain, stateful]) {
    assert.equal(await closed, undefined); // no error
    assert.ok(said.some((text) => text === "Close message received from server."), said.slice(-10).join("\n"));
  }
});
