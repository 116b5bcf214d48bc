// A whole client of the plain WebSocket protocol (belfry.v1, proto/README.md §9) that loses nothing:
//
//   node plain.mjs http://127.0.0.1:8080 "$TOKEN" '{"topic":"invoices"}'       prints every event with its cursor
import { pathToFileURL } from "node:url";

// Browsers and Node 22 have a WebSocket; older Nodes get it from npm.
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;

/** follow calls onEvent(cursor, event) for everything a subscription matches, until stopped() or refused. */
export function follow(url, token, subscription, onEvent, log = () => {}) {
  let cursor = ""; // the newest seen: where to resume
  let [attempt, heard, stopped] = [0, 0, false];
  let socket;

  function connect() {
    heard = Date.now();
    socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/ws?access_token=${token}`, "belfry.v1");
    socket.onmessage = (message) => {
      heard = Date.now();
      for (const line of message.data.split("\n")) if (line) frame(JSON.parse(line));
    };
    const beat = setInterval(() => (socket.readyState === 1 && Date.now() - heard < 60_000 ? send({ ping: {} }) : socket.close()), 25_000);
    socket.onerror = () => {}; // a close always follows
    socket.onclose = ({ code, reason }) => {
      clearInterval(beat);
      if (stopped) return;
      if (code >= 4500 && code <= 4999) return log(`refused: ${code} ${reason}`);
      const wait = Math.random() * Math.min(30, 2 ** attempt++) * 1000;
      log(`cut: ${code} ${reason}; again in ${Math.round(wait)} ms`);
      setTimeout(connect, wait);
    };
  }

  const send = (frame) => socket.send(JSON.stringify(frame));

  function frame(f) {
    if (f.welcome) {
      send(cursor ? { id: "1", resume: { cursor, subscriptions: [subscription] } } : { id: "1", subscribe: subscription });
    } else if (f.subscribed || f.resumed) {
      cursor ||= f.subscribed.cursor;
      attempt = 0;
      log(f.resumed ? `resumed after ${cursor}` : `live after ${cursor}`);
    } else if (f.event) {
      cursor = f.cursor ?? cursor;
      onEvent(f.cursor, f.event);
    } else if (f.error?.code === "cursor_gone") {
      log("gone: fetch your state anew"); // what was missed is lost
      cursor = "";
      send({ id: "1", subscribe: subscription });
    } else if (f.error) log(`error: ${f.error.code} ${f.error.message}`);
  }

  connect();
  return () => ((stopped = true), socket.close());
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [url, token, subscription = "{}"] = process.argv.slice(2);
  follow(url, token, JSON.parse(subscription), (cursor, event) => console.log(cursor, event.type, JSON.stringify(event.data)), console.error);
}
