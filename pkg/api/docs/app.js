// The page at /docs: what /openapi.json says, and a form to try it.

import { $, el, text } from "./dom.js";
import { tryIt } from "./try.js";

const tokenKey = "belfry.token"; // the console's: a token given there is known here

$("token").value = sessionStorage.getItem(tokenKey) ?? "";
$("token").addEventListener("input", () => sessionStorage.setItem(tokenKey, $("token").value.trim()));
$("who").addEventListener("submit", (e) => e.preventDefault());

const anchor = (name) => name.replaceAll(/[^A-Za-z0-9]+/g, "-").toLowerCase();
const named = (ref) => ref.split("/").at(-1);

/** typeOf words a schema: "string", "array of string", or a link to a message. */
function typeOf(schema) {
  if (schema.$ref) return [el("a", { href: `#${anchor(named(schema.$ref))}`, textContent: named(schema.$ref) })];
  if (schema.type === "array") return ["array of ", ...typeOf(schema.items)];
  if (schema.type === "object" && schema.additionalProperties?.type) return ["object of ", ...typeOf(schema.additionalProperties)];
  return [schema.format ? `${schema.type} (${schema.format})` : (schema.type ?? "any")];
}

function table(rows) {
  const line = ({ name, schema, description }) =>
    el("tr", {}, el("td", { textContent: name }), el("td", { class: "type" }, ...typeOf(schema)), el("td", { textContent: text(description ?? "") }));
  return el("table", { class: "fields" }, el("tbody", {}, ...rows.map(line)));
}

/** fieldsOf is a message's fields in the order of its contract. */
function fieldsOf(schema) {
  return (schema["x-order"] ?? Object.keys(schema.properties ?? {})).map((name) => ({ name, schema: schema.properties[name], description: schema.properties[name].description }));
}

function operation(api, path, verb, op) {
  const resolve = (schema) => (schema?.$ref ? api.components.schemas[named(schema.$ref)] : schema);
  const answer = op.responses["200"].content["application/json"].schema;
  const inside = el("div", { class: "inside" }, el("p", { class: "about", textContent: text(op.description) }));
  inside.append(el("h3", { textContent: "Also" }), el("p", { class: "about", textContent: `NATS request on ${op["x-nats-subject"]}${op["x-route-of"] ? `; this is a plain route of ${op["x-route-of"]}` : "; gRPC and gRPC-Web on this path"}.` }));
  if (op.parameters) inside.append(el("h3", { textContent: "Parameters" }), table(op.parameters));
  for (const [type, media] of Object.entries(op.requestBody?.content ?? {})) {
    inside.append(el("h3", { textContent: `Body, ${type}` }));
    if (media.schema.$ref) inside.append(table(fieldsOf(resolve(media.schema))));
    else inside.append(el("p", { class: "about", textContent: media.schema.description }));
  }
  inside.append(el("h3", {}, "Answer, ", ...typeOf(answer)), table(fieldsOf(resolve(answer))));
  const card = el(
    "details",
    { class: "card", id: anchor(op.operationId) },
    el("summary", {}, el("span", { class: "verb", data: { verb }, textContent: verb.toUpperCase() }), el("span", { class: "path", textContent: path }), el("span", { class: "short", textContent: op.summary })),
    inside,
  );
  inside.append(tryIt(path, verb, op, resolve, () => $("token").value.trim()));
  return card;
}

function show(api) {
  $("about").textContent = text(api.info.description);
  const link = (id, label) => el("a", { href: `#${id}`, textContent: label, title: label });
  for (const tag of api.tags) {
    const section = el("section", {}, el("h2", { textContent: tag.name }), el("p", { class: "about", textContent: text(tag.description) }));
    $("contents").append(el("h2", { textContent: tag.name }));
    const all = Object.entries(api.paths).flatMap(([path, item]) => Object.entries(item).map(([verb, op]) => ({ path, verb, op })));
    all.sort((a, b) => Number("x-route-of" in b.op) - Number("x-route-of" in a.op)); // the short paths first
    for (const { path, verb, op } of all.filter(({ op }) => op.tags.includes(tag.name))) {
      section.append(operation(api, path, verb, op));
      $("contents").append(link(anchor(op.operationId), "x-route-of" in op ? `${verb.toUpperCase()} ${path}` : path.split("/").at(-1)));
    }
    $("operations").append(section);
  }
  $("contents").append(el("h2", { textContent: "Messages" }));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const inside = el("div", { class: "inside" }, el("p", { class: "about", textContent: text(schema.description) }));
    if (schema.properties) inside.append(table(fieldsOf(schema)));
    $("schemas").append(el("details", { class: "card", id: anchor(name) }, el("summary", {}, el("span", { class: "path", textContent: name })), inside));
    $("contents").append(link(anchor(name), name));
  }
  $("contents").append(el("h2", { textContent: "Errors" }), link("errors", "All codes"));
  for (const f of api["x-faults"]) {
    $("faults").append(el("tr", {}, ...[f.code, f.kind, f.status, f.connect, f.close].map((v) => el("td", { textContent: String(v) }))));
  }
}

// A link to a card opens it.
function open() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`the description answered ${answer.status}`);
  show(await answer.json());
  open();
  addEventListener("hashchange", open);
} catch (e) {
  $("problem").hidden = false;
  $("problem").textContent = `Not shown: ${e.message}`;
}
