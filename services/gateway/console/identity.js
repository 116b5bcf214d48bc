// Who the token is for, and the place to give another one.

import { $, el } from "./dom.js";
import { explain } from "./status.js";

/** showIdentity displays what a token says; undefined hides it. */
export function showIdentity(claims) {
  const menu = $("identity");
  menu.hidden = claims === undefined;
  menu.open = false;
  if (claims === undefined) return;
  $("identity-user").textContent = claims.user || "unknown user";
  $("identity-tenant").textContent = claims.tenants.length > 1 ? `${claims.tenants[0]} +${claims.tenants.length - 1}` : (claims.tenants[0] ?? "");
  const fact = (name, ...values) => [el("dt", { textContent: name }), el("dd", {}, ...(values.length ? values : ["none"]))];
  const tags = (texts) => texts.map((t) => el("span", { class: "tag", textContent: t }));
  $("claims").replaceChildren(
    ...fact("User", claims.user),
    ...fact("Tenants", ...tags(claims.tenants)),
    ...fact("Grants", ...tags(claims.grants)),
    ...(claims.issuer ? fact("Issuer", claims.issuer) : []),
    ...fact("Expires", claims.expires ? `${claims.expires.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}, ${until(claims.expires)}` : "not said"),
  );
}

function until(date) {
  const minutes = Math.round((date - Date.now()) / 60_000);
  if (minutes < 0) return "over";
  if (minutes < 90) return `in ${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `in ${hours} h` : `in ${Math.round(hours / 24)} days`;
}

/** askForToken shows the field for a token, with the reason if the server gave one. */
export function askForToken(refusal) {
  $("gate").hidden = false;
  $("gate-reason").hidden = refusal === undefined;
  if (refusal === undefined) return;
  $("gate-code").textContent = [refusal.code, refusal.close].filter(Boolean).join(" · ");
  $("gate-text").textContent = explain(refusal);
}

export function hideGate() {
  $("gate").hidden = true;
  $("gate-token").value = "";
}
