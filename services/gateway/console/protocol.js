// The plain WebSocket protocol, belfry.v1: a connection that loses nothing.
//
//   open ─▶ welcome ─▶ subscribe ─▶ subscribed ─▶ LIVE ◀───────────┐
//              │                                                    │
//              └─ with a cursor: resume ─▶ resumed ─▶ missed events ┘
//
//   closed below 4500, or cut ─▶ wait (full jitter) ─▶ open again, resume
//   closed at 4500 or above   ─▶ stop, and say why
//
// The normative text is proto/README.md §9. Nothing here knows the page.

const longestWait = 30; // seconds

/**
 * Connection keeps one WebSocket to /v1/ws. `listener` is told:
 *   state({name, …})   connecting | live {missed} | resuming {missed} |
 *                      reconnecting {until, close, reason} | refused {code, close, message} | closed
 *   event({cursor, event, text})   in order; text is the frame as it came
 *   position(cursor)   where the feed began, when it did not resume
 *   gone({code, message}, cursor)  what followed cursor is no longer kept; live from here
 *   rejected({code, message})      other subscriptions were refused; the old ones go on
 */
export class Connection {
  #url;
  #listener;
  #subscriptions;
  #before; // the subscriptions in force while others are asked for
  #cursor;
  #socket;
  #attempt = 0;
  #retry;
  #watch;
  #state = "closed";
  #asked = 0;
  #asks = new Map(); // id of a frame of ours → its kind
  #missed = 0;
  #heard = true;

  /** url: of /v1/ws with its token; cursor: "" or where to resume from. */
  constructor({ url, subscriptions, cursor, listener }) {
    this.#url = url;
    this.#subscriptions = subscriptions;
    this.#cursor = cursor;
    this.#listener = listener;
  }

  /** open connects now, also while a pause before the next attempt lasts. */
  open() {
    clearTimeout(this.#retry);
    this.#drop();
    this.#tell("connecting");
    const socket = new WebSocket(this.#url, "belfry.v1");
    socket.addEventListener("message", (m) => socket === this.#socket && this.#message(m.data));
    socket.addEventListener("close", (c) => socket === this.#socket && this.#closed(c.code, c.reason));
    this.#socket = socket;
  }

  /** close ends it for good. */
  close() {
    clearTimeout(this.#retry);
    this.#drop();
    this.#tell("closed");
  }

  /** hurry ends a pause before the next attempt: the network is back, or somebody pressed a button. */
  hurry() {
    if (this.#state === "reconnecting") this.open();
  }

  /** subscribe asks for something else from here on; nothing in between is lost. */
  subscribe(subscriptions) {
    if (this.#state === "live") this.#before = this.#subscriptions;
    this.#subscriptions = subscriptions;
    if (this.#state === "live" || this.#state === "resuming") this.#begin();
    else if (this.#state === "refused") this.open();
  }

  // A cursor means that we have been live before: ask for what was missed.
  #begin() {
    if (this.#cursor === "") {
      for (const s of this.#subscriptions) this.#ask("subscribe", s);
      return;
    }
    this.#missed = 0;
    this.#tell("resuming", { missed: 0 });
    this.#ask("resume", { cursor: this.#cursor, subscriptions: this.#subscriptions });
  }

  #ask(kind, body) {
    const id = String(++this.#asked);
    this.#asks.set(id, kind);
    this.#socket.send(JSON.stringify({ id, [kind]: body }));
  }

  // One message holds one or more frames, one per line.
  #message(text) {
    this.#heard = true;
    for (const line of text.split("\n")) {
      if (line === "") continue;
      const frame = JSON.parse(line);
      if (frame.event) this.#event(frame, line);
      else this.#answer(frame);
    }
  }

  #event(frame, text) {
    if (frame.cursor) this.#cursor = frame.cursor; // absent: the event is not stored
    if (this.#state === "resuming") this.#missed++;
    this.#listener.event({ cursor: frame.cursor ?? "", event: frame.event, text });
  }

  #answer(frame) {
    const kind = this.#asks.get(frame.id);
    this.#asks.delete(frame.id);
    if (frame.welcome) {
      this.#keepWatch(frame.welcome.pingSeconds ?? 25);
      this.#begin();
    } else if (frame.resumed) {
      // Subscribing again changes nothing, but is answered only after what was
      // missed: that is how we know that we have caught up.
      this.#ask("subscribe", this.#subscriptions[0]);
    } else if (frame.subscribed) {
      this.#live(frame.subscribed.cursor ?? ""); // none: what is never stored has no position
    } else if (frame.error) {
      this.#failed(frame.error, kind);
    }
  }

  #live(cursor) {
    this.#attempt = 0;
    if (this.#cursor === "" && cursor !== "") {
      this.#cursor = cursor;
      this.#listener.position(cursor);
    }
    // Whoever changed their mind twice waits for the second answer.
    if ([...this.#asks.values()].some((kind) => kind !== "ping")) return;
    this.#before = undefined;
    this.#tell("live", { missed: this.#missed });
    this.#missed = 0;
  }

  #failed(error, kind) {
    if (kind === "resume" && error.code === "cursor_gone") {
      this.#listener.gone(error, this.#cursor);
      this.#cursor = "";
      this.#begin();
      return;
    }
    if (this.#before === undefined) {
      this.#refuse(error.code, undefined, error.message);
      return;
    }
    // An error changes nothing on the server: what we had goes on.
    this.#subscriptions = this.#before;
    this.#before = undefined;
    this.#tell("live", { missed: 0 });
    this.#listener.rejected(error);
  }

  #closed(close, reason) {
    this.#drop();
    if (close >= 4500 && close <= 4999) this.#refuse(reason, close);
    else this.#comeBack(close, reason);
  }

  #refuse(code, close, message) {
    this.#drop();
    this.#tell("refused", { code, close, message });
  }

  // Full jitter: a restarted server is not met by all its clients at once.
  #comeBack(close, reason) {
    const wait = Math.random() * Math.min(longestWait, 2 ** this.#attempt++) * 1000;
    this.#retry = setTimeout(() => this.open(), wait);
    this.#tell("reconnecting", { until: Date.now() + wait, close, reason });
  }

  // Pages cannot see the server's pings, so we send our own; one that nothing
  // followed until the next means that the line is dead.
  #keepWatch(seconds) {
    clearInterval(this.#watch);
    this.#heard = true;
    this.#watch = setInterval(() => {
      if (!this.#heard) {
        this.#drop();
        this.#comeBack(1006, "no answer to a ping");
        return;
      }
      this.#heard = false;
      this.#ask("ping", {});
    }, seconds * 1000);
  }

  // Forgets the socket first, so that its late events are nobody's.
  #drop() {
    clearInterval(this.#watch);
    this.#asks.clear();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #tell(name, more = {}) {
    this.#state = name;
    this.#listener.state({ name, ...more });
  }
}
