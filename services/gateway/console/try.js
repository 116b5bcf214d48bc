// Three things to try, while there is nothing to see yet.

import { $, copyButton, el } from "./dom.js";
import { quote, shorten } from "./curl.js";

/** showTries fills the empty feed for a token and the tenant it may act in. */
export function showTries(token, tenant) {
  const http = (t) =>
    [
      `curl ${location.origin}/v1/events`,
      `-H ${quote(`Authorization: Bearer ${t}`)}`,
      `-H 'ce-specversion: 1.0' -H "ce-id: $(date +%s)" -H 'ce-source: /erp'`,
      `-H 'ce-type: invoices.created' -H 'ce-subject: 4711'${tenant ? ` -H ${quote(`ce-tenant: ${encodeURIComponent(tenant)}`)}` : ""}`,
      `-H 'Content-Type: application/json' -d '{"total":1250.5}'`,
    ].join(" \\\n  ");
  const host = location.hostname;
  const text = `{"total":980}`;
  const nats = `printf 'PUB evt.${subjectToken(tenant)}.invoices.updated ${text.length}\\r\\n${text}\\r\\nPING\\r\\n' \\\n  | nc -q1 ${host} 4222`;
  $("tries").replaceChildren(
    step("Send an event over HTTP", "With curl. The copy has your whole token, so mind where you paste it.", http(shorten(token)), () => http(token)),
    step("Send one over plain NATS", "Any NATS client will do, in any language. Without one:", nats, () => nats),
    step("Stop Belfry and start it again", "This page comes back by itself and resumes: what others published meanwhile is shown in order, nothing twice."),
  );
}

function step(title, text, shown, copied) {
  return el(
    "li",
    {},
    el("div", { class: "labelled" }, el("h3", { textContent: title }), shown && copyButton("Copy", copied)),
    el("p", { textContent: text }),
    shown && el("pre", { class: "command", textContent: shown, tabIndex: 0 }),
  );
}

// A tenant as one token of a subject (proto/README.md §2).
function subjectToken(tenant) {
  const bytes = new TextEncoder().encode(tenant || "AA");
  return Array.from(bytes, (b) => (/[A-Za-z0-9-]/.test(String.fromCharCode(b)) ? String.fromCharCode(b) : `=${b.toString(16).toUpperCase().padStart(2, "0")}`)).join("");
}
