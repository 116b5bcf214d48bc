// Debian's Chromium, headless, and the page in it as a test sees it.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

// As root in a machine without a display or a way to the internet.
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser that closes with the test. */
export async function launch(t) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
  t.after(() => browser.close());
  return browser;
}

/** Console opens the page and fails the test at its end if the page broke a rule of its own. */
export class Console {
  static async open(t, browser, url) {
    const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    const broken = [];
    page.on("pageerror", (e) => broken.push(String(e)));
    page.on("console", (m) => /Content Security Policy|404/.test(m.text()) && broken.push(m.text()));
    t.after(() => assert.deepEqual(broken, [], "the page has errors"));
    t.after(() => context.close()); // or it goes on showing what other tests publish
    await page.goto(url);
    return new Console(page);
  }

  constructor(page) {
    this.page = page;
  }

  /** Waits until the connection's state begins with text. */
  async state(text) {
    await this.page.locator("#state-text", { hasText: new RegExp(`^${text}`) }).waitFor();
  }

  /** Waits until n events are shown, then answers them, newest first: {id, cursor, type, subject}. */
  async events(n) {
    const rows = this.page.locator("#events > .event:visible");
    await this.page.waitForFunction((n) => [...document.querySelectorAll("#events > .event")].filter((li) => !li.hidden).length >= n, n);
    return rows.evaluateAll((list) =>
      list.map((li) => ({ id: li.dataset.id, cursor: li.dataset.cursor, type: li.querySelector(".type").textContent, subject: li.querySelector(".subject").textContent })),
    );
  }
}

/** Fails unless the events, newest first, have strictly increasing cursors and no id twice. */
export function inOrder(events) {
  const cursors = events.map((e) => e.cursor).reverse();
  assert.deepEqual(cursors, [...new Set(cursors)].sort(), "cursors do not increase");
  assert.equal(new Set(events.map((e) => e.id)).size, events.length, "an id came twice");
}
