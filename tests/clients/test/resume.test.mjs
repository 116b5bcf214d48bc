// kill -9, and back: nothing missing, nothing twice, whatever the client.

import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { Belfry } from "../belfry.mjs";
import { Console, inOrder, launch } from "../browser.mjs";
import { publish } from "../nats.mjs";
import { openStream } from "../sse.mjs";

const example = fileURLToPath(new URL("../examples/plain.mjs", import.meta.url));

// While the page cannot reach it: the same data on other ports, so that what is
// published then was certainly missed.
async function publishUnseen(belfry, n) {
  await belfry.start({ http: "127.0.0.1:0", nats: "127.0.0.1:0" });
  const ids = [];
  for (let i = 0; i < n; i++) ids.push((await belfry.post({ id: `missed-${i}`, type: "orders.created" })).id);
  await publish(belfry.nats, "evt.AA.orders.updated", { by: "others" });
  assert.equal(await belfry.stop(), 0);
  return ids;
}

test("the page resumes after kill -9", async (t) => {
  const belfry = await Belfry.start(t);
  const view = await Console.open(t, await launch(t), belfry.printed);
  await view.state("Live");
  for (let i = 0; i < 3; i++) await belfry.post({ id: `before-${i}`, type: "orders.created" });
  await view.events(3);

  await belfry.kill();
  await view.state("Reconnecting in");
  await publishUnseen(belfry, 7);
  await belfry.start();
  await belfry.post({ id: "after", type: "orders.created" });

  const events = await view.events(12);
  await view.state("Live");
  inOrder(events);
  const ids = events.map((e) => e.id).reverse();
  assert.deepEqual(ids.slice(0, 10), [0, 1, 2].map((n) => `before-${n}`).concat([0, 1, 2, 3, 4, 5, 6].map((n) => `missed-${n}`)));
  assert.equal(ids[11], "after");
  await view.page.locator(".note", { hasText: /Reconnected\. \d+ missed events received\./ }).waitFor();
});

test("the page says so when what it missed is gone", async (t) => {
  const belfry = await Belfry.start(t);
  const view = await Console.open(t, await launch(t), belfry.printed);
  await view.state("Live");
  const { cursor } = await belfry.post({ id: "old" });
  await view.events(1);
  assert.equal(await belfry.stop(), 0); // in order, with a window open
  await view.state("Reconnecting in");
  // The log is lost and the secret is not: a restore that forgot the data.
  await rm(join(belfry.dir, "jetstream"), { recursive: true });
  await belfry.start();
  await view.page.locator(".note[data-tone=bad]", { hasText: cursor }).waitFor();
  await view.state("Live");
  await belfry.post({ id: "new" });
  assert.deepEqual((await view.events(2)).map((e) => e.id), ["new", "old"]);
});

test("the example client resumes after kill -9", async (t) => {
  const belfry = await Belfry.start(t);
  const client = spawn(process.execPath, [example, belfry.url, belfry.token, '{"topic":"orders"}'], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(async () => {
    client.kill();
    await once(client, "exit");
  });
  let out = "";
  let log = "";
  client.stdout.setEncoding("utf8").on("data", (text) => (out += text));
  client.stderr.setEncoding("utf8").on("data", (text) => (log += text));
  const until = async (condition) => {
    while (!condition()) await Promise.race([once(client.stdout, "data"), once(client.stderr, "data"), once(client, "exit").then(() => Promise.reject(new Error(log)))]);
  };
  await until(() => log.includes("live after"));
  await belfry.post({ type: "orders.created", data: { n: 1 } });
  await belfry.post({ type: "invoices.created" }); // not asked for
  await until(() => out.includes('{"n":1}'));
  await belfry.kill();
  await publishUnseen(belfry, 4);
  await belfry.start();
  await until(() => log.includes("resumed after"));
  await belfry.post({ type: "orders.deleted" });
  await until(() => out.includes("orders.deleted"));

  const lines = out.trim().split("\n");
  const cursors = lines.map((l) => l.split(" ")[0]);
  assert.deepEqual(cursors, [...new Set(cursors)].sort());
  assert.deepEqual(lines.map((l) => l.split(" ")[1]), [..."12345"].map(() => "orders.created").concat(["orders.updated", "orders.deleted"]));
});

test("an event stream resumes with Last-Event-ID", async (t) => {
  const belfry = await Belfry.start(t);
  const address = () => `${belfry.url}/v1/sse?topic=orders`;
  const first = await openStream(address(), belfry.token);
  const opening = (await first.messages.next()).value;
  assert.match(opening.id, /^[a-z0-9]{8}-[0-9a-f]{16}$/);
  const { cursor } = await belfry.post({ id: "o-1", type: "orders.created" });
  const seen = (await first.messages.next()).value;
  assert.equal(seen.id, cursor);
  assert.equal(JSON.parse(seen.data).id, "o-1");

  await belfry.kill();
  assert.equal((await first.messages.next()).done, true);
  await publishUnseen(belfry, 4);
  await belfry.start();
  const second = await openStream(address(), belfry.token, { "Last-Event-ID": seen.id });
  t.after(() => second.close());
  await belfry.post({ id: "after", type: "orders.deleted" });
  assert.deepEqual((await second.messages.next()).value, { retry: "2000", id: seen.id });
  const ids = [];
  const cursors = [];
  while (ids.at(-1) !== "after") {
    const { value } = await second.messages.next();
    ids.push(JSON.parse(value.data).id);
    cursors.push(value.id);
  }
  assert.deepEqual(ids.slice(0, 4), ["missed-0", "missed-1", "missed-2", "missed-3"]);
  assert.equal(ids.length, 6);
  assert.deepEqual(cursors, [...new Set(cursors)].sort());
});
