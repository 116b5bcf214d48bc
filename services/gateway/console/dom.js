// Building the page. What events carry is untrusted: it becomes text nodes and
// attributes here, never markup.

/**
 * el makes an element. Properties are set as such, except `class`, `data` (an
 * object for dataset), `on` (an object of listeners) and anything with a dash.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((c) => c !== undefined && c !== null));
  return node;
}

/** $ is the one element that the page has under this id. */
export const $ = (id) => document.getElementById(id);

/** copyButton copies what text() gives when it is pressed, and says so for a moment. */
export function copyButton(label, text) {
  const button = el("button", { type: "button", class: "quiet", textContent: label });
  button.addEventListener("click", async () => {
    button.textContent = (await copy(text())) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text); // only there on https and on localhost
    return true;
  } catch {
    const area = el("textarea", { value: text, class: "offscreen" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** plural is "1 event", "1,204 events". */
export const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
