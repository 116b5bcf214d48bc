// Who is online, and a line to one of them: a real-time event, never stored.

import { $, el, plural } from "./dom.js";

const most = 20; // names shown; the count is of all
const pause = 250; // ms in which changes share one question

export class People {
  #token = () => "";
  #tenant = "";
  #whom = "";
  #soon;
  #form = $("notify-form");
  #result = $("notify-result");

  /** token() is the access token to ask with. */
  constructor(token) {
    this.#token = token;
    this.#form.addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      this.#notify();
    });
  }

  /** of shows the people of a token's first tenant, if it may see them. */
  of(claims) {
    this.#tenant = claims?.tenants[0] ?? "";
    this.#whom = claims?.user ?? "";
    $("people").hidden = !People.visible(claims);
  }

  /** visible says whether a token may see who is online. */
  static visible(claims) {
    return claims !== undefined && claims.tenants.length > 0 && claims.grants.includes("realtime");
  }

  /** changed asks anew, soon: somebody has come or gone. */
  changed() {
    if ($("people").hidden || this.#soon) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      this.#look();
    }, pause);
  }

  async #look() {
    const query = new URLSearchParams({ tenant: this.#tenant, limit: most });
    const answer = await this.#call(`/v1/presence?${query}`).catch(() => undefined);
    if (!answer?.users) return; // the connection's own state says what is wrong
    $("people-count").textContent = answer.total;
    $("people-list").replaceChildren(...answer.users.map((u) => el("li", {}, this.#chip(u))));
  }

  #chip({ user, since, connections }) {
    const chip = el(
      "button",
      { type: "button", class: "person", title: `online since ${new Date(since).toLocaleString("en-GB")}`, "aria-pressed": String(user === this.#whom) },
      el("i", { class: "dot", "aria-hidden": "true" }),
      el("span", { textContent: user }),
      el("span", { class: "count", textContent: connections > 0 ? plural(connections, "window") : "loading" }),
    );
    chip.addEventListener("click", () => {
      this.#whom = user;
      for (const other of $("people-list").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === chip));
    });
    return chip;
  }

  async #notify() {
    const body = { tenant: this.#tenant, recipient: this.#whom, source: "/console", [$("notify-code").value]: { text: $("notify-text").value } };
    try {
      const told = await this.#call("/v1/realtime", { method: "POST", body: JSON.stringify(body) });
      this.#say("good", `${this.#whom} has it on ${plural(told.connections, "window")}${told.complete ? "" : ", perhaps more"}.`);
    } catch (e) {
      this.#say("bad", e.message);
    }
    this.changed(); // how many windows there are is not told, only asked
  }

  async #call(path, options = {}) {
    const headers = { Authorization: `Bearer ${this.#token()}`, "Content-Type": "application/json" };
    const answer = await fetch(path, { ...options, headers });
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${told.code}: ${told.message}`);
    return told;
  }

  #say(tone, text) {
    this.#result.dataset.tone = tone;
    this.#result.textContent = text;
    this.#result.hidden = false;
  }
}
