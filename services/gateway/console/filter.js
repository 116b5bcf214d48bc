// What the feed shows. Topic, verb, tenant and text hide rows that are here
// already. The form (as stored, or a view by name) is what the server is asked
// for, so changing it changes the subscription.

import { $, el } from "./dom.js";

/** The views of proto/README.md §5 that exist today. */
export const views = [
  "frm.objectInserted",
  "frm.objectUpdate",
  "frm.objectToDelete",
  "frm.objectDeleted",
  "portos.resources.changed",
  "portos.licence.activated",
  "sys.newUser",
  "sys.userChangeStatus",
  "sys.userDelete",
  "sys.userDeleted",
];

const mostOptions = 200; // of one menu; more topics are found by text

export class Filter {
  #menus = { topic: $("filter-topic"), verb: $("filter-verb"), tenant: $("filter-tenant") };
  #text = $("filter-text");
  #name = $("filter-name");
  #changed;
  #seen = { topic: new Set(), verb: new Set(), tenant: new Set() };

  /** changed(match) after every change; renamed(subscriptions) when the form changes. */
  constructor({ changed, renamed }) {
    this.#changed = changed;
    for (const name of views) this.#name.append(el("option", { value: name, textContent: name }));
    for (const control of [this.#text, this.#name, ...Object.values(this.#menus)]) {
      control.addEventListener("input", () => changed(this.match()));
    }
    this.#name.addEventListener("input", () => renamed(this.subscriptions()));
  }

  /** subscriptions is what to ask the server for. */
  subscriptions() {
    return [this.#name.value ? { name: this.#name.value } : {}];
  }

  /** asStored goes back to the stored form, without asking the server for it. */
  asStored() {
    this.#name.value = "";
    this.#changed(this.match());
  }

  /** learn offers what an event has as choices. */
  learn(event) {
    for (const [member, menu] of Object.entries(this.#menus)) {
      const value = fold(member, event[member]);
      const seen = this.#seen[member];
      if (value === "" || seen.has(value) || seen.size >= mostOptions) continue;
      seen.add(value);
      const after = [...menu.options].slice(1).find((o) => o.value > value);
      menu.add(el("option", { value, textContent: value }), after ?? null);
    }
    $("filter-tenant").hidden = this.#seen.tenant.size < 2;
  }

  /** match decides for one {event, text}. */
  match() {
    const want = Object.entries(this.#menus).map(([member, menu]) => [member, menu.value]);
    const text = this.#text.value.trim().toLowerCase();
    const name = this.#name.value;
    return ({ event, text: frame }) =>
      (name ? event.type === name : !views.includes(event.type)) &&
      want.every(([member, value]) => value === "" || fold(member, event[member]) === value) &&
      (text === "" || frame.toLowerCase().includes(text));
  }
}

// Topic and verb are compared ignoring case, tenants exactly.
const fold = (member, value) => (member === "tenant" ? (value ?? "") : (value ?? "").toLowerCase());
