// The feed: the newest events first, at most `most` of them, with pause and
// filter. Filtering hides rows and loses nothing.

import { $, el } from "./dom.js";
import { row } from "./row.js";

const most = 500; // rows; older ones leave the page, the log keeps them

export class Feed {
  #list = $("events");
  #shown = []; // newest first: {li, entry} or, for a note, {li}
  #queue = []; // came since the last frame was painted, oldest first
  #waiting = []; // came while paused, oldest first; as many as would be shown
  #waited = 0; // how many came while paused
  #paused = false;
  #painting = false;
  #match = () => true;
  #changed;
  /** floor is the position before the oldest event kept here: a reload resumes there. */
  floor = "";

  /** changed is called after every change with {shown, matching, waiting, paused, newest}. */
  constructor(changed) {
    this.#changed = changed;
  }

  get paused() {
    return this.#paused;
  }

  /** add takes an event of the connection: {cursor, event, text}. */
  add(entry) {
    if (this.#paused) {
      this.#waited++;
      this.#bounded(this.#waiting, { entry });
    } else {
      this.#bounded(this.#queue, { entry });
    }
    this.#paint();
  }

  /** note puts a line of our own between the events, such as "reconnected". */
  note(text, tone = "plain") {
    const li = el("li", { class: "note", data: { tone } }, el("span", { textContent: text }));
    this.#bounded(this.#paused ? this.#waiting : this.#queue, { li });
    this.#paint();
  }

  pause(on) {
    this.#paused = on;
    if (!on) {
      for (const item of this.#waiting) this.#bounded(this.#queue, item);
      this.#waiting = [];
      this.#waited = 0;
    }
    this.#paint();
  }

  /** refresh reports the feed as it is. */
  refresh() {
    this.#paint();
  }

  clear(cursor) {
    this.#shown = [];
    this.#queue = [];
    this.#waiting = [];
    this.#waited = 0;
    this.#list.replaceChildren();
    this.floor = cursor ?? this.floor;
    this.#paint();
  }

  /** filter shows only the events for which match(entry) is true. */
  filter(match) {
    this.#match = match;
    for (const item of this.#shown) item.li.hidden = !this.#visible(item);
    this.#paint();
  }

  #visible(item) {
    return !item.entry || this.#match(item.entry);
  }

  // What is beyond the bound would have left the page anyway.
  #bounded(items, item) {
    items.push(item);
    if (items.length > most) this.#leave(items.shift());
  }

  #leave(item) {
    if (item.entry?.cursor) this.floor = item.entry.cursor;
  }

  // At most once per painted frame, however fast events come.
  #paint() {
    if (this.#painting) return;
    this.#painting = true;
    const paint = () => {
      if (!this.#painting) return;
      this.#painting = false;
      this.#show();
    };
    requestAnimationFrame(paint);
    setTimeout(paint, 250); // a hidden tab paints no frames
  }

  #show() {
    const fresh = this.#queue.reverse();
    this.#queue = [];
    const newest = fresh.find((item) => item.entry && this.#visible(item))?.entry;
    for (const item of fresh) {
      item.li ??= row(item.entry);
      item.li.hidden = !this.#visible(item);
    }
    this.#list.prepend(...fresh.map((item) => item.li));
    this.#shown.unshift(...fresh);
    while (this.#shown.length > most) {
      const item = this.#shown.pop();
      item.li.remove();
      this.#leave(item);
    }
    const events = this.#shown.filter((item) => item.entry);
    this.#changed({
      shown: events.length,
      matching: events.filter((item) => !item.li.hidden).length,
      waiting: this.#waited,
      paused: this.#paused,
      fresh: fresh.filter((item) => item.entry && !item.li.hidden).length,
      newest,
    });
  }
}

/** countText is what stands beside the title: "12", "3 of 12", "newest 500". */
export function countText({ shown, matching }) {
  if (matching !== shown) return `${matching} of ${shown}`;
  return shown >= most ? `newest ${most}` : String(shown);
}
