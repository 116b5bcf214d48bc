// One line of the feed, and what it opens to.

import { copyButton, el } from "./dom.js";
import { member, pretty } from "./json.js";

/** row is an event's <li>; what it opens to is made when it is opened. */
export function row(entry) {
  const e = entry.event;
  const cell = (name, text, title) => el("span", { class: name, textContent: text, title: title ?? text });
  const details = el(
    "details",
    {},
    el(
      "summary",
      { class: "line" },
      el("time", { class: "time", dateTime: e.time ?? "", title: e.time ?? "", textContent: clock(e.time) }),
      cell("tenant", e.tenant ?? ""),
      el("span", { class: "type", title: e.type ?? "" }, ...typeOf(e), badge(e)),
      cell("subject", e.subject ?? "", e.subject ? `subject ${e.subject}` : ""),
      cell("id", e.id ?? "", `id ${e.id ?? ""}`),
      cell("cursor", short(entry.cursor), entry.cursor ? `cursor ${entry.cursor}` : "not stored"),
    ),
  );
  details.addEventListener("toggle", () => details.open && details.children.length === 1 && details.append(body(entry)), { once: true });
  const arrived = (animated) => animated.currentTarget.classList.remove("fresh"); // once, not whenever it is shown again
  return el("li", { class: "event fresh", on: { animationend: arrived }, data: { tone: tone(e), cursor: entry.cursor, id: e.id ?? "" } }, details);
}

// A stored event shows topic and verb apart; a view has one name.
function typeOf(e) {
  const stored = e.topic !== undefined && e.verb !== undefined && e.type?.toLowerCase() === `${e.topic}.${e.verb}`.toLowerCase();
  if (!stored) return [el("span", { class: "topic", textContent: e.type ?? "" })];
  return [el("span", { class: "topic", textContent: e.topic }), el("span", { class: "verb", textContent: `.${e.verb}` })];
}

function badge(e) {
  return e.malformed && el("span", { class: "badge", textContent: "malformed", title: e.malformed });
}

function body(entry) {
  const text = member(entry.text, "event");
  return el(
    "div",
    { class: "body" },
    el(
      "div",
      { class: "bar" },
      el("span", { class: "label", textContent: entry.cursor ? "Cursor" : "Not stored" }),
      el("code", { textContent: entry.cursor }),
      copyButton("Copy JSON", () => text),
    ),
    pretty(text),
  );
}

// What a verb does, so that the eye can pick it out; the word says it, too.
const tones = { created: "add", restored: "add", activated: "add", updated: "change", status: "change", deleting: "end", deleted: "end", purged: "end" };

const tone = (e) => tones[e.verb?.toLowerCase()] ?? "other";

/** clock is a time of today as 09:31:00.250, of another day as 2026-01-05 09:31. */
export function clock(text) {
  const t = new Date(text ?? "");
  if (Number.isNaN(t.getTime())) return "";
  const two = (n, width = 2) => String(n).padStart(width, "0");
  const time = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${two(t.getMilliseconds(), 3)}`;
  if (t.toDateString() === new Date().toDateString()) return time;
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${time.slice(0, 5)}`;
}

// A cursor is opaque; its end is what differs from row to row.
const short = (cursor) => (cursor ? "…" + cursor.slice(-8) : "");
