// The form that publishes one event, and the same as curl.

import { $, copyButton, el } from "./dom.js";
import { curl, shorten } from "./curl.js";

const fields = ["tenant", "topic", "verb", "subject", "data"];

export class Send {
  #token = () => "";
  #id = newID();
  #form = $("send-form");
  #result = $("send-result");

  /** token() is the access token to send with. */
  constructor(token) {
    this.#token = token;
    this.#form.addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      this.#send();
    });
    this.#form.addEventListener("input", (changed) => {
      mark(changed.target, "");
      this.#preview();
    });
    $("send-format").addEventListener("click", () => this.#format());
    $("curl-copy").replaceWith(copyButton("Copy", () => curl(location.origin, this.#token(), this.#body())));
    this.#preview();
  }

  /** tenants offers the tenants of a token; one needs no choice. */
  tenants(names) {
    const menu = $("send-tenant");
    menu.replaceChildren(...names.map((name) => el("option", { value: name, textContent: name })));
    $("send-tenant-field").hidden = names.length < 2;
    this.#preview();
  }

  /** learn offers an event's topic and verb for completion. */
  learn(event) {
    offer($("topics"), event.topic);
    offer($("verbs"), event.verb);
  }

  // The envelope, with the data as it was typed: parsing and printing it again
  // would change large numbers.
  #body() {
    const v = this.#values();
    const envelope = { specversion: "1.0", id: this.#id, source: "/console", type: `${v.topic}.${v.verb}`.toLowerCase(), topic: v.topic, verb: v.verb };
    if (v.subject) envelope.subject = v.subject;
    if (v.tenant) envelope.tenant = v.tenant;
    if (!v.data) return JSON.stringify(envelope);
    envelope.datacontenttype = "application/json";
    return `${JSON.stringify(envelope).slice(0, -1)},"data":${v.data}}`;
  }

  #values() {
    return Object.fromEntries(fields.map((name) => [name, $(`send-${name}`).value.trim()]));
  }

  #preview() {
    $("curl").textContent = curl(location.origin, shorten(this.#token()), this.#body());
  }

  // What can be seen here is said here; everything else the server says.
  #check() {
    const v = this.#values();
    const wrong = {};
    for (const name of ["topic", "verb"]) {
      if (v[name] === "") wrong[name] = `Enter a ${name}.`;
      else if (v[name] === "*" || v[name] === ">") wrong[name] = `A ${name} cannot be a wildcard.`;
    }
    try {
      if (v.data) JSON.parse(v.data);
    } catch (e) {
      wrong.data = `Not valid JSON: ${e.message}`;
    }
    for (const name of fields) mark($(`send-${name}`), wrong[name] ?? "");
    const first = fields.find((name) => wrong[name]);
    if (first) $(`send-${first}`).focus();
    return first === undefined;
  }

  #format() {
    const area = $("send-data");
    try {
      // Only if nothing is lost by it.
      const value = JSON.parse(area.value);
      if (JSON.stringify(value) === area.value.replaceAll(/\s*([{}[\],:])\s*/g, "$1").trim()) area.value = JSON.stringify(value, null, 2);
      this.#preview();
    } catch {
      this.#check();
    }
  }

  async #send() {
    this.#result.hidden = true;
    if (!this.#check()) return;
    const button = $("send-button");
    button.disabled = true;
    try {
      const answer = await fetch("/v1/events", {
        method: "POST",
        headers: { Authorization: `Bearer ${this.#token()}`, "Content-Type": "application/cloudevents+json" },
        body: this.#body(),
      });
      const told = await answer.json();
      if (answer.ok) this.#stored(told);
      else this.#failed(told, answer.status);
    } catch (e) {
      // The same id goes out again, so sending again is safe.
      this.#say("bad", "Not sent", `No answer from the server: ${e.message}. Sending again is safe.`);
    } finally {
      button.disabled = false;
    }
  }

  #stored({ id, cursor, duplicate }) {
    this.#say("good", duplicate ? "Stored already" : "Stored", undefined, { id, cursor });
    this.#id = newID();
    this.#preview();
  }

  #failed({ code, message, details }, status) {
    const field = details?.field;
    if (fields.includes(field)) mark($(`send-${field}`), message);
    this.#say("bad", `${code} · ${status}`, message, field ? { field } : {});
  }

  #say(tone, title, text, facts = {}) {
    const rows = Object.entries(facts).flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", { textContent: value, title: value })]);
    this.#result.dataset.tone = tone;
    this.#result.replaceChildren(el("strong", { textContent: title }), ...(text ? [el("p", { textContent: text })] : []), ...(rows.length ? [el("dl", {}, ...rows)] : []));
    this.#result.hidden = false;
  }
}

// mark shows or takes away what is wrong with a field.
function mark(input, problem) {
  const place = $(`${input.id}-problem`);
  if (!place) return;
  place.textContent = problem;
  place.hidden = problem === "";
  if (problem) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function offer(list, value) {
  if (!value || list.children.length >= 200 || [...list.children].some((o) => o.value === value)) return;
  list.append(el("option", { value }));
}

// crypto.randomUUID exists only on https and on localhost.
function newID() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
}
