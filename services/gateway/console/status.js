// How the connection is, in one place that is always visible.

import { $, plural } from "./dom.js";

let ticking;

/** showState displays a state of the Connection. */
export function showState(state) {
  clearInterval(ticking);
  const pill = $("state");
  pill.dataset.state = state.name;
  const write = () => {
    $("state-text").textContent = text(state);
    pill.title = detail(state);
  };
  write();
  $("hurry").hidden = state.name !== "reconnecting";
  if (state.name === "reconnecting") ticking = setInterval(write, 200);
  // Read aloud once per change; the countdown would be read every second.
  $("state-spoken").textContent = state.name === "reconnecting" ? "Connection lost. Reconnecting." : text(state);
}

function text(state) {
  switch (state.name) {
    case "connecting":
      return "Connecting";
    case "live":
      return "Live";
    case "resuming":
      return "Resuming";
    case "reconnecting":
      return `Reconnecting in ${Math.max(0, Math.ceil((state.until - Date.now()) / 1000))} s`;
    case "refused":
      return `Refused: ${codeText(state)}`;
    default:
      return "Not connected";
  }
}

function detail(state) {
  if (state.name === "reconnecting") return `closed with ${state.close}${state.reason ? ` ${state.reason}` : ""}`;
  return "";
}

/** codeText is "token_expired (4532)". */
export const codeText = ({ code, close }) => [code, close && `(${close})`].filter(Boolean).join(" ");

/** missedText says what a resumption brought. */
export const missedText = (n) => (n === 0 ? "Reconnected. Nothing was missed." : `Reconnected. ${plural(n, "missed event")} received.`);

const explanations = {
  token_missing: "The server wants an access token.",
  token_invalid: "The server does not accept this token. It may be incomplete, or made for another server.",
  token_expired: "This token was valid, and its time is over.",
  token_revoked: "This token was valid, and has been taken back.",
  tenant_forbidden: "The token does not cover this tenant.",
  grant_missing: "The token does not allow reading this.",
};

/** explain says in words why the server refused. */
export const explain = (state) => state.message || explanations[state.code] || "The server closed the connection and does not want it back.";
