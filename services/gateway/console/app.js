// Wires the page: the token makes a connection, the connection fills the feed.

import { $, plural } from "./dom.js";
import { Feed, countText } from "./feed.js";
import { Filter } from "./filter.js";
import { askForToken, hideGate, showIdentity } from "./identity.js";
import { People } from "./people.js";
import { Connection } from "./protocol.js";
import { Send } from "./send.js";
import { codeText, explain, missedText, showState } from "./status.js";
import { claimsOf, forgetToken, keepPosition, keepToken, positionOf, takeToken } from "./token.js";
import { showTries } from "./try.js";

let token = "";
let user = "";
let connection;
let newest = ""; // cursor of the newest event received
let spokenAt = 0;

const feed = new Feed(showFeed);
const send = new Send(() => token);
const people = new People(() => token);
const filter = new Filter({
  changed: (match) => feed.filter(match),
  renamed: (subscriptions) => connection?.subscribe(wanted(subscriptions)),
});

// Besides the feed: who comes and goes, for those who may know.
const wanted = (subscriptions) => (People.visible(claimsOf(token)) ? [...subscriptions, { name: "presence" }] : subscriptions);

// What the connection tells.
const listener = {
  state(state) {
    const was = document.body.dataset.state;
    document.body.dataset.state = state.name;
    showState(state);
    if (state.name === "live") {
      hideGate();
      people.changed();
      if (was === "resuming" && lost) feed.note(missedText(state.missed), "good");
      lost = false;
    }
    if (state.name === "reconnecting" && was === "live") {
      lost = true;
      feed.note("Connection lost.");
    }
    if (state.name === "refused") refused(state);
  },
  event(entry) {
    if (entry.event.type?.startsWith("presence.")) {
      people.changed();
      return;
    }
    newest = entry.cursor || newest;
    filter.learn(entry.event);
    send.learn(entry.event);
    feed.add(entry);
  },
  position(cursor) {
    newest = cursor;
    feed.floor ||= cursor;
    keepPosition(user, feed.floor);
  },
  rejected({ code, message }) {
    filter.asStored();
    feed.note(`${code}: ${message}`, "bad");
  },
  gone({ message }, cursor) {
    feed.note(`Events are missing here: ${message}. What followed ${cursor} cannot be shown any more; the feed goes on from now.`, "bad");
    feed.floor = "";
  },
};
let lost = false; // the connection broke since it was last live

// A token that may not read may still send: then the page stays.
function refused(state) {
  if (state.code !== "grant_missing") {
    askForToken(state);
    return;
  }
  hideGate();
  feed.note(`${codeText(state)}: ${explain(state)}`, "bad");
}

function connect(next) {
  connection?.close();
  token = next;
  const claims = claimsOf(token);
  if (user !== (claims?.user ?? "")) {
    feed.clear(""); // what one user saw is not for the next
    newest = "";
  }
  user = claims?.user ?? "";
  showIdentity(claims);
  send.tenants(claims?.tenants ?? []);
  people.of(claims);
  showTries(token, claims?.tenants[0] ?? "");
  feed.refresh();
  if (token === "") {
    connection = undefined;
    listener.state({ name: "closed" });
    askForToken();
    return;
  }
  feed.floor = positionOf(user);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  connection = new Connection({
    url: `${scheme}://${location.host}/v1/ws?access_token=${encodeURIComponent(token)}`,
    subscriptions: wanted(filter.subscriptions()),
    cursor: newest || feed.floor,
    listener,
  });
  connection.open();
}

function showFeed(now) {
  $("count").textContent = now.shown ? countText(now) : "";
  $("empty").hidden = now.shown > 0 || token === "";
  $("no-match").hidden = now.shown === 0 || now.matching > 0;
  $("pause").setAttribute("aria-pressed", String(now.paused));
  $("pause-text").textContent = now.paused ? "Resume" : "Pause";
  $("waiting").hidden = !now.paused;
  $("waiting-text").textContent = now.waiting === 0 ? "Paused" : `Paused: ${plural(now.waiting, "event")} waiting`;
  if (user && feed.floor) keepPosition(user, feed.floor);
  speak(now);
}

// Every event read aloud would be noise: the newest, at most every 5 seconds.
function speak({ fresh, newest: entry }) {
  if (!fresh || !entry || Date.now() - spokenAt < 5000) return;
  spokenAt = Date.now();
  $("feed-spoken").textContent = `${plural(fresh, "new event")}, newest ${entry.event.type ?? ""} ${entry.event.subject ?? ""}`;
}

function togglePause() {
  feed.pause(!feed.paused);
}

$("pause").addEventListener("click", togglePause);
$("waiting-resume").addEventListener("click", togglePause);
$("clear").addEventListener("click", () => feed.clear(newest));
$("hurry").addEventListener("click", () => connection?.hurry());
addEventListener("online", () => connection?.hurry());
addEventListener("hashchange", () => location.hash.includes("token=") && connect(takeToken()));

$("gate-form").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = $("gate-token").value.trim();
  if (text === "") return;
  keepToken(text);
  connect(text);
});

$("forget").addEventListener("click", () => {
  forgetToken();
  newest = "";
  feed.clear("");
  connect("");
  $("gate-token").focus();
});

// On a phone the feed and the form are two panes.
for (const tab of [$("tab-feed"), $("tab-send")]) {
  tab.addEventListener("click", () => {
    document.body.dataset.pane = tab.dataset.pane;
    for (const t of [$("tab-feed"), $("tab-send")]) t.setAttribute("aria-pressed", String(t === tab));
  });
}

addEventListener("keydown", (pressed) => {
  const menu = $("identity");
  if (pressed.key === "Escape" && menu.open) {
    menu.open = false;
    menu.firstElementChild.focus();
  }
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || pressed.target.closest("input, textarea, select")) return;
  if (pressed.key === "/") {
    pressed.preventDefault();
    $("filter-text").focus();
  } else if (pressed.key === "p") {
    togglePause();
  }
});
addEventListener("click", (clicked) => {
  if (!$("identity").contains(clicked.target)) $("identity").open = false;
});

connect(takeToken());
