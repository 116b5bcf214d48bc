// Three things to try, while there is nothing to see yet.

import { $, copyButton, el } from "./dom.js";
import { curl, shorten } from "./curl.js";

/** showTries fills the empty feed for a token and the tenant it may act in. */
export function showTries(token, tenant) {
  const body = `{"specversion":"1.0","id":"'$RANDOM'","source":"/erp","type":"invoices.created","subject":"4711",${tenantMember(tenant)}"data":{"total":1250.5}}`;
  // The shell fills in $RANDOM: the quoting stops for it.
  const http = (t) => curl(location.origin, t, body).replace(`'\\''$RANDOM'\\''`, `'$RANDOM'`);
  const host = location.hostname;
  const text = `{"total":980}`;
  const nats = `printf 'PUB evt.${token_(tenant)}.invoices.updated ${text.length}\\r\\n${text}\\r\\nPING\\r\\n' | nc -q1 ${host} 4222`;
  $("tries").replaceChildren(
    step("Send an event over HTTP", "With curl, from any terminal.", http(shorten(token)), () => http(token)),
    step("Send one over plain NATS", "Any NATS client will do, in any language. Without one:", nats, () => nats),
    step("Stop Belfry, publish, start it again", "This page reconnects by itself and shows what it missed, in order, nothing twice. The form on this page sends events, too."),
  );
}

function step(title, text, shown, copied) {
  return el(
    "li",
    {},
    el("h3", { textContent: title }),
    el("p", { textContent: text }),
    shown && el("div", { class: "command" }, el("pre", { textContent: shown, tabIndex: 0 }), copyButton("Copy", copied)),
  );
}

const tenantMember = (tenant) => (tenant ? `"tenant":${JSON.stringify(tenant).replaceAll("'", "")},` : "");

// A tenant as one token of a subject (proto/README.md §2).
function token_(tenant) {
  const bytes = new TextEncoder().encode(tenant || "AA");
  return Array.from(bytes, (b) => (/[A-Za-z0-9-]/.test(String.fromCharCode(b)) ? String.fromCharCode(b) : `=${b.toString(16).toUpperCase().padStart(2, "0")}`)).join("");
}
