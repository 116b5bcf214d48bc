// The page at /docs: it shows what the contract says, offline, and calls it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Belfry } from "../belfry.mjs";
import { Console, launch } from "../browser.mjs";

test("docs", { timeout: 500_000 }, async (t) => {
  const belfry = await Belfry.start(t);
  const browser = await launch(t);

  await t.test("takes the console's token, and publishes and reads with it", async (t) => {
    const { page } = await Console.open(t, browser, belfry.printed);
    await page.goto(`${belfry.url}/docs`);
    const foreign = [];
    page.on("request", (r) => new URL(r.url()).origin === belfry.url || foreign.push(r.url()));
    const card = (id) => page.locator(`#${id}`);
    await card("post-v1-events").locator("summary").click();
    await card("post-v1-events").locator("button.primary").click();
    await card("post-v1-events").locator(".status[data-tone=good]", { hasText: "200" }).waitFor();
    const { cursor } = JSON.parse(await card("post-v1-events").locator(".answer").textContent());

    await card("rpc-gateway-readevents").locator("summary").click();
    await card("rpc-gateway-readevents").locator("button.primary").click();
    await card("rpc-gateway-readevents").locator(".status[data-tone=good]").waitFor();
    const read = JSON.parse(await card("rpc-gateway-readevents").locator(".answer").textContent());
    assert.deepEqual(read.events.map((e) => [e.cursor, e.event.type]), [[cursor, "invoices.created"]]);

    await card("get-v1-events").locator("summary").click();
    await card("get-v1-events").locator("input[name=after]").fill("nonsense");
    await card("get-v1-events").locator("button.primary").click();
    await card("get-v1-events").locator(".status[data-tone=bad]", { hasText: "400" }).waitFor();
    assert.match(await card("get-v1-events").locator(".answer").textContent(), /"code": "invalid_cursor"/);

    await page.fill("#token", "");
    await card("rpc-gateway-publish").locator("summary").click();
    await card("rpc-gateway-publish").locator("button.primary").click();
    await card("rpc-gateway-publish").locator(".status", { hasText: "401 token_missing" }).waitFor();
    assert.deepEqual(foreign, [], "the page asks others");
  });

  await t.test("shows every operation, message and code", async (t) => {
    const { page } = await Console.open(t, browser, `${belfry.url}/docs/#event`);
    await page.locator("#event[open]").waitFor(); // a link to a card opens it
    const api = await (await fetch(`${belfry.url}/openapi.json`)).json();
    assert.equal(api.openapi, "3.1.1");
    const described = Object.entries(api.paths).flatMap(([path, methods]) => Object.keys(methods).map(() => path));
    for (const path of ["/v1/events", "/Events/Peek", "/v1/schedules", "/v1/operations", "/belfry.gateway.v1.GatewayService/Publish"]) {
      assert.ok(described.includes(path), `${path} is not described`);
    }
    assert.deepEqual((await page.locator("#operations .path").allTextContents()).sort(), described.sort());
    assert.deepEqual(await page.locator("#schemas .path").allTextContents(), Object.keys(api.components.schemas));
    assert.ok((await page.locator("#faults tr").count()) > 40);
  });
});
