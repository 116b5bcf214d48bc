// The form that calls an operation with the token of this tab.

import { el } from "./dom.js";

/** tryIt makes the form; token() is asked at each call. */
export function tryIt(path, verb, op, resolve, token) {
  const inputs = (op.parameters ?? []).map((p) => {
    const id = `${op.operationId}-${p.name}`;
    const input = el("input", { id, name: p.name, autocomplete: "off", spellcheck: false, placeholder: p.in === "path" ? "required" : "" });
    return { p, input, field: el("div", {}, el("label", { htmlFor: id, textContent: p.name }), input) };
  });
  const content = op.requestBody?.content;
  const body = content && el("textarea", { rows: 7, spellcheck: false, "aria-label": "Body" });
  const media = content && el("select", { class: "media", "aria-label": "Content type" }, ...Object.keys(content).map((type) => el("option", { textContent: type })));
  const fill = () => (body.value = JSON.stringify(fresh(content[media.value].example ?? example({ ...content[media.value].schema }, resolve)), null, 2));
  if (content) {
    media.addEventListener("change", fill);
    fill();
  }
  const status = el("span", { class: "status", role: "status" });
  const answer = el("pre", { class: "answer", tabIndex: 0, hidden: true });
  const form = el("form", { class: "try" }, el("h3", { textContent: "Try it" }));
  if (inputs.length) form.append(el("div", { class: "grid" }, ...inputs.map((i) => i.field)));
  if (content) form.append(media, body);
  form.append(el("div", { class: "row" }, el("button", { class: "primary", textContent: "Send" }), status), answer);

  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    for (const { p, input } of inputs) {
      if (p.in === "path") url = url.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (p.schema.type === "array") for (const v of input.value.split(",").map((s) => s.trim()).filter(Boolean)) query.append(p.name, v);
      else if (input.value !== "") query.set(p.name, input.value);
    }
    const headers = { Authorization: `Bearer ${token()}` };
    if (content) headers["Content-Type"] = media.value;
    // CloudEvents binary mode: the attributes are headers.
    if (content && media.value === "application/json" && op["x-route-of"] && content[media.value].example) {
      Object.assign(headers, { "ce-specversion": "1.0", "ce-id": crypto.randomUUID(), "ce-source": "/docs", "ce-type": "invoices.created" });
    }
    status.dataset.tone = "";
    status.textContent = "…";
    const began = performance.now();
    try {
      const r = await fetch(query.size ? `${url}?${query}` : url, { method: verb.toUpperCase(), headers, body: body?.value });
      const took = Math.round(performance.now() - began);
      const said = await r.text();
      status.dataset.tone = r.ok ? "good" : "bad";
      status.textContent = `${r.status}${r.headers.get("Belfry-Fault") ? ` ${r.headers.get("Belfry-Fault")}` : ""} · ${took} ms`;
      answer.textContent = pretty(said);
      answer.hidden = false;
    } catch (e) {
      status.dataset.tone = "bad";
      status.textContent = `no answer: ${e.message}`;
    }
  });
  return form;
}

/** fresh gives events in an example an id of their own: the same one twice is stored once. */
function fresh(v) {
  if (Array.isArray(v)) return v.map(fresh);
  if (v && typeof v === "object") return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, k === "id" && v.specversion ? crypto.randomUUID() : fresh(x)]));
  return v;
}

const event = { specversion: "1.0", id: "17", source: "/docs", type: "invoices.created", data: { number: "2026-0042" } };

/** example is a body that a schema allows: its fields with values to change. */
function example(schema, resolve, depth = 0) {
  const name = schema.$ref?.split("/").at(-1);
  const s = resolve(schema);
  if (name === "Event") return event;
  if (s.enum) return s.enum[0];
  if (s.type === "array") return depth > 3 || !s.items.$ref ? [] : [example(s.items, resolve, depth + 1)];
  if (s.type === "object") return Object.fromEntries((s["x-order"] ?? []).map((k) => [k, example(s.properties[k], resolve, depth + 1)]));
  if (s.type === "boolean") return false;
  if (s.type === "integer" || s.type === "number") return s.format === "int32" ? 10 : 0;
  return "";
}

/** pretty lays JSON out without reading its numbers, so that none loses digits. */
function pretty(said) {
  try {
    JSON.parse(said);
  } catch {
    return said;
  }
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return said.trim().replaceAll(/"(?:\\.|[^"\\])*"|[-+.\w]+|[{}[\],:]|\s+/g, (t, at, all) => {
    if (/^\s/.test(t)) return "";
    if (t === "{" || t === "[") return (depth++, /^\s*[}\]]/.test(all.slice(at + 1, at + 8)) ? t : t + line());
    if (t === "}" || t === "]") return (depth--, /[{[]\s*$/.test(all.slice(Math.max(0, at - 8), at)) ? t : line() + t);
    if (t === ",") return t + line();
    return t === ":" ? ": " : t;
  });
}
