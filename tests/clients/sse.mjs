// A reader of server-sent events (WHATWG HTML §9.2) over fetch, as far as the
// tests need it.

/** Opens a stream; messages() yields {id, event, data} until the stream breaks. */
export async function openStream(url, token, headers = {}) {
  const stopper = new AbortController();
  const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}`, ...headers }, signal: stopper.signal });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return { messages: read(answer.body), close: () => stopper.abort() };
}

async function* read(body) {
  let text = "";
  try {
    for await (const piece of body.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + piece).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) yield parse(block);
    }
  } catch {
    // The stream was cut; the caller has what came whole.
  }
}

function parse(block) {
  const message = {};
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
    if (field) message[field] = message[field] === undefined ? value : `${message[field]}\n${value}`;
  }
  return message;
}
