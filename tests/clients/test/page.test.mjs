// The page at /, used as a person uses it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, after, suite, test } from "node:test";
import { Belfry } from "../belfry.mjs";
import { Console, inOrder, launch } from "../browser.mjs";
import { publish } from "../nats.mjs";

// One process and one browser for all; each test has a page, and events, of its own.
suite("page", { timeout: 500_000 }, () => {
  const ends = [];
  const whole = { after: (f) => ends.push(f) };
  let belfry;
  let browser;
  before(async () => {
    // Tokens end to the second, and open connections are looked at every second.
    belfry = await Belfry.start(whole, "auth.skew=0s", "gateway.ping_every=1s");
    browser = await launch(whole);
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });
  const open = (t, url = belfry.printed) => Console.open(t, browser, url);

  test("is live with the printed URL, and keeps the token out of the address bar", async (t) => {
    const view = await open(t);
    const { page } = view;
    await view.state("Live");
    assert.equal(page.url(), `${belfry.url}/`);
    assert.equal(await page.locator("#identity-user").textContent(), "anna");
    await page.locator("#tries > li").nth(2).waitFor();

    await belfry.post({ id: "before-reload" });
    await view.events(1);
    await page.reload();
    await view.state("Live");
    const [event] = await view.events(1); // a reload shows again what was there
    assert.equal(event.id, "before-reload");
  });

  test("shows what comes by HTTP, by its own form and by plain NATS, with increasing cursors", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const { page } = view;

    const posted = await belfry.post({ type: "orders.created", subject: "SO-1", data: { lines: 3 } });
    await page.fill("#send-topic", "Invoices");
    await page.fill("#send-verb", "updated");
    await page.fill("#send-subject", "4711");
    await page.fill("#send-data", '{"total":12345678901234567890}');
    await page.click("#send-button");
    await page.locator("#send-result[data-tone=good]").waitFor();
    const sent = await page.locator("#send-result dd").allTextContents();
    await publish(belfry.nats, "evt.AA.users.created", { name: "Jan Dvorak" });

    const events = await view.events(3);
    inOrder(events);
    assert.deepEqual(events.map((e) => e.type), ["users.created", "Invoices.updated", "orders.created"]);
    assert.deepEqual([events[1].id, events[1].cursor], sent);
    assert.deepEqual([events[2].id, events[2].cursor], [posted.id, posted.cursor]);

    // The data comes back as it was typed, digits beyond 2^53 and all.
    await page.locator(".event summary").nth(1).click();
    assert.match(await page.locator(".event .json").textContent(), /"total": 12345678901234567890\n/);
  });

  test("shows what comes in each of CloudEvents' HTTP modes", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const post = async (headers, body) => {
      const answer = await fetch(`${belfry.url}/v1/events`, { method: "POST", headers: { Authorization: `Bearer ${belfry.token}`, ...headers }, body });
      assert.equal(answer.status, 200, await answer.text());
    };
    const event = (id) => ({ specversion: "1.0", id, source: "/erp", type: "orders.created", data: { id } });
    await post({ "ce-specversion": "1.0", "ce-id": "binary", "ce-source": "/erp", "ce-type": "orders.created", "Content-Type": "application/json" }, '{"id":"binary"}');
    await post({ "Content-Type": "application/cloudevents+json" }, JSON.stringify(event("structured")));
    await post({ "Content-Type": "application/cloudevents-batch+json" }, JSON.stringify([event("batch-1"), event("batch-2")]));
    const events = await view.events(4);
    inOrder(events);
    assert.deepEqual(events.map((e) => e.id), ["batch-2", "batch-1", "structured", "binary"]);
  });

  test("gives a curl command that sends the same event", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const { page } = view;
    await page.fill("#send-subject", "o'clock");
    await page.fill("#send-data", '{"text":"it\'s $HOME, `x` and \\"y\\""}');
    await page.click(".curl summary");
    assert.ok(!(await page.locator("#curl").textContent()).includes(belfry.token), "the whole token is on the screen");
    await page.click(".curl button");
    await page.locator(".curl button", { hasText: "Copied" }).waitFor();
    const command = await page.evaluate(() => navigator.clipboard.readText());

    // A shell takes the command apart; there need not be a curl here.
    const words = execFileSync("sh", ["-c", `curl() { printf '%s\\0' "$@"; }\n${command}`], { encoding: "utf8" }).split("\0").slice(0, -1);
    const headers = words.filter((_, i) => words[i - 1] === "-H").map((h) => h.split(": "));
    const answer = await fetch(words[0], { method: "POST", headers, body: words[words.indexOf("-d") + 1] });
    const { id, cursor } = await answer.json();
    const [event] = await view.events(1);
    assert.deepEqual([event.id, event.cursor, event.subject], [id, cursor, "o'clock"]);
  });

  test("filters by topic, verb, text and name, and loses nothing by it", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const { page } = view;
    for (const [type, subject] of [["invoices.created", "a"], ["invoices.deleted", "b"], ["orders.created", "needle"]]) await belfry.post({ type, subject });
    await view.events(3);
    const shown = async (n) => {
      await page.waitForFunction((n) => [...document.querySelectorAll("#events > .event")].filter((li) => !li.hidden).length === n, n);
      return (await view.events(n)).map((e) => e.subject);
    };
    await page.selectOption("#filter-topic", "invoices");
    assert.deepEqual(await shown(2), ["b", "a"]);
    await page.selectOption("#filter-verb", "deleted");
    assert.deepEqual(await shown(1), ["b"]);
    await page.selectOption("#filter-topic", "");
    await page.selectOption("#filter-verb", "");
    await page.keyboard.press("Escape");
    await page.locator("#pause").focus();
    await page.keyboard.press("/");
    await page.keyboard.type("NEEDLE");
    assert.deepEqual(await shown(1), ["needle"]);
    assert.equal(await page.locator("#count").textContent(), "1 of 3");
    await page.fill("#filter-text", "");
    assert.deepEqual(await shown(3), ["needle", "b", "a"]);

    // By name: the server is asked for the view, and only that is shown.
    await page.selectOption("#filter-name", "frm.objectInserted");
    await view.state("Live");
    await belfry.post({ type: "devices.updated", subject: "c" });
    await belfry.post({ type: "devices.created", subject: "d" });
    assert.deepEqual(await shown(1), ["d"]);
    await page.locator(".event:visible summary").click();
    assert.match(await page.locator(".event:visible .json").textContent(), /"event-objectName": "devices",\s+"event-objectID": "d"/);
    await page.selectOption("#filter-name", "");
    await view.state("Live");
    await belfry.post({ type: "devices.deleted", subject: "e" });
    assert.deepEqual(await shown(4), ["e", "needle", "b", "a"]);
  });

  test("pauses, counts what waits, and shows it afterwards", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const { page } = view;
    await belfry.post({ subject: "seen" });
    await view.events(1);
    await page.keyboard.press("p");
    for (const subject of ["w1", "w2", "w3"]) await belfry.post({ subject });
    await page.locator("#waiting-text", { hasText: "3 events waiting" }).waitFor();
    assert.deepEqual((await view.events(1)).map((e) => e.subject), ["seen"]);
    await page.click("#waiting-resume");
    const events = await view.events(4);
    assert.deepEqual(events.map((e) => e.subject), ["w3", "w2", "w1", "seen"]);
    inOrder(events);
    await page.click("#clear");
    await page.locator("#empty").waitFor();
  });

  test("keeps a bounded number of rows under a burst", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const seqs = await publish(belfry.nats, "evt.AA.meters.read", ...Array.from({ length: 620 }, (_, n) => ({ n })));
    await view.page.locator(`#events > .event[data-cursor$="${seqs.at(-1).toString(16).padStart(16, "0")}"]`).waitFor();
    const events = await view.events(500);
    assert.equal(events.length, 500);
    inOrder(events);
  });

  test("says what is wrong with an event, at its field", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const { page } = view;
    await page.fill("#send-data", '{"total":');
    await page.click("#send-button");
    assert.match(await page.locator("#send-data-problem").textContent(), /^Not valid JSON/);
    assert.equal(await page.getAttribute("#send-data", "aria-invalid"), "true");

    await page.fill("#send-data", "{}");
    await page.fill("#send-topic", "x".repeat(300)); // what only the server knows
    await page.click("#send-button");
    await page.locator("#send-result[data-tone=bad] strong", { hasText: "invalid_topic · 400" }).waitFor();
    assert.match(await page.locator("#send-topic-problem").textContent(), /255/);
  });

  test("shows the code of a refused token, and takes another", async (t) => {
    const view = await open(t, `${belfry.url}/#token=nonsense`);
    await view.state("Refused: token_invalid \\(4531\\)");

    // One that runs out while the page is open.
    await view.page.fill("#gate-token", await belfry.makeToken("--user", "eva", "--tenant", "AA", "--ttl", "10s"));
    await view.page.click("#gate-form button");
    await view.state("Live");
    await view.state("Refused: token_expired \\(4532\\)");
    await view.page.reload();
    await view.state("Refused: token_expired \\(4532\\)");

    await view.page.fill("#gate-token", await belfry.makeToken("--user", "eva", "--tenant", "AA", "--tenant", "BB"));
    await view.page.click("#gate-form button");
    await view.state("Live");
    assert.equal(await view.page.locator("#identity-user").textContent(), "eva");
    assert.deepEqual(await view.page.locator("#send-tenant option").allTextContents(), ["AA", "BB"]);
  });

  test("says so when the token may not read, and still when it may not write", async (t) => {
    const writer = await belfry.makeToken("--user", "erp", "--tenant", "AA", "--grant", "publish:orders");
    const blind = await open(t, `${belfry.url}/#token=${writer}`);
    await blind.state("Refused: grant_missing");
    await blind.page.fill("#send-topic", "orders");
    await blind.page.click("#send-button");
    await blind.page.locator("#send-result[data-tone=good]").waitFor();

    const reader = await belfry.makeToken("--user", "eva", "--tenant", "AA", "--grant", "subscribe:orders");
    const view = await open(t, `${belfry.url}/#token=${reader}`);
    await view.state("Live");
    await view.page.click("#send-button");
    await view.page.locator("#send-result strong", { hasText: "grant_missing · 403" }).waitFor();
    await belfry.post({ type: "invoices.created", subject: "hidden" });
    await belfry.post({ type: "orders.created", subject: "granted" });
    assert.deepEqual((await view.events(1)).map((e) => e.subject), ["granted"]);

    // A view of any topic needs more; what was subscribed goes on.
    await view.page.selectOption("#filter-name", "portos.resources.changed");
    await view.page.locator(".note", { hasText: "grant_missing" }).waitFor();
    await view.state("Live");
    await belfry.post({ type: "orders.deleted", subject: "still" });
    assert.deepEqual((await view.events(2)).map((e) => e.subject), ["still", "granted"]);
  });

  test("shows what events carry as text, never as markup", async (t) => {
    const view = await open(t);
    await view.state("Live");
    const nasty = `<img src=x onerror="document.title='owned'">`;
    await belfry.post({ subject: nasty, data: { [nasty]: nasty } });
    await publish(belfry.nats, "evt.AA.notes.created", nasty);
    const events = await view.events(2);
    assert.equal(events[1].subject, nasty);
    for (const n of [0, 1]) await view.page.locator(".event summary").nth(n).click();
    assert.equal(await view.page.locator("#events img").count(), 0);
    assert.equal(await view.page.title(), "Belfry");
  });

  test("shows who is online, and notifies one of them", async (t) => {
    const view = await open(t);
    const { page } = view;
    await view.state("Live");
    const anna = page.locator("#people-list button", { hasText: "anna" });
    await anna.waitFor();
    assert.equal(await anna.getAttribute("aria-pressed"), "true");

    // Somebody else comes; what the other page shows is his own.
    const token = await belfry.makeToken("--user", "jan <b>", "--tenant", "AA");
    const other = await open(t, `${belfry.url}/#token=${token}`);
    await other.state("Live");
    const jan = page.locator("#people-list button", { hasText: "jan <b>" });
    await jan.click();
    await page.fill("#notify-text", "Can we give 5 % more?");
    await page.click("#notify-button");
    await page.locator("#notify-result", { hasText: "jan <b> has it on 1 window." }).waitFor();
    const [event] = await other.events(1);
    assert.deepEqual([event.type, event.cursor], ["NOT", ""]);

    await other.page.close();
    await jan.waitFor({ state: "detached" }); // after the grace
    assert.equal(await page.locator("#events > .event").count(), 0, "presence is not in the feed");
  });
});
