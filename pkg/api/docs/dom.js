// Building the page: text nodes and attributes, never markup.

/** $ is the one element that the page has under this id. */
export const $ = (id) => document.getElementById(id);

/** el makes an element; `class` and `data` are as in HTML, names with a dash are attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") node.className = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** text is a comment of the contract as paragraphs: its lines were broken for an editor. */
export const text = (comment) => (comment ?? "").replaceAll(/([^\n])\n(?!\n)/g, "$1 ").replaceAll("\n ", "\n\n");
