// The same event as a command line.

/** quote makes text one word for a POSIX shell. */
export const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** curl is the command that posts a structured CloudEvent. */
export function curl(origin, token, body) {
  return [
    `curl ${origin}/v1/events`,
    `-H ${quote(`Authorization: Bearer ${token}`)}`,
    `-H 'Content-Type: application/cloudevents+json'`,
    `-d ${quote(body)}`,
  ].join(" \\\n  ");
}

/** shorten keeps a token's ends, for commands that are shown and not run. */
export const shorten = (token) => (token.length > 24 ? `${token.slice(0, 8)}…${token.slice(-4)}` : token);
