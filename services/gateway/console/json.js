// JSON as it came, for people: laid out and coloured from the text itself, so
// that numbers beyond 2^53 and the order of members stay what was sent.

import { el } from "./dom.js";

const token = /"(?:\\.|[^"\\])*"|[-+.\w]+|[{}[\],:]/g;
const longest = 256 * 1024; // characters laid out; more would freeze the page

/** pretty lays valid JSON text out in a <pre>. */
export function pretty(text) {
  const pre = el("pre", { class: "json", tabIndex: 0 });
  if (text.length > longest) {
    pre.textContent = text.slice(0, longest) + `\n… ${text.length - longest} more characters; Copy has them all`;
    return pre;
  }
  const tokens = text.match(token) ?? [];
  let depth = 0;
  tokens.forEach((t, i) => {
    const next = tokens[i + 1];
    const empty = (t === "{" && next === "}") || (t === "[" && next === "]");
    if (t === "{" || t === "[") {
      pre.append(t, empty ? "" : line(++depth));
    } else if (t === "}" || t === "]") {
      const closesEmpty = (t === "}" && tokens[i - 1] === "{") || (t === "]" && tokens[i - 1] === "[");
      pre.append(closesEmpty ? "" : line(--depth), t);
    } else if (t === ",") {
      pre.append(t, line(depth));
    } else if (t === ":") {
      pre.append(": ");
    } else {
      pre.append(el("span", { class: kind(t, next), textContent: t }));
    }
  });
  return pre;
}

const line = (depth) => "\n" + "  ".repeat(depth);

function kind(t, next) {
  if (t[0] === '"') return next === ":" ? "name" : "string";
  return /^[-\d]/.test(t) ? "number" : "literal";
}

/** member is the text of one member of the JSON object in text, "" if it has none. */
export function member(text, name) {
  let depth = 0;
  let start = -1;
  for (const m of text.matchAll(token)) {
    const t = m[0];
    if (start >= 0 && depth === 1 && (t === "," || t === "}")) return text.slice(start, m.index).trim();
    if (t === "{" || t === "[") depth++;
    else if (t === "}" || t === "]") depth--;
    else if (start < 0 && depth === 1 && t === `"${name}"` && /^\s*:/.test(text.slice(m.index + t.length, m.index + t.length + 8))) {
      start = text.indexOf(":", m.index + t.length) + 1;
    }
  }
  return "";
}
