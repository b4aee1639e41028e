// The events: the newest as they come in, or those of one market or kind, page by page.
import { make, offerFiles, place, say, tableRow, whatToDo } from "./document.js";
import { clock, count } from "./words.js";

const VERDICTS = { gap: "down", mismatch: "down", healed: "ok", proven: "ok", synced: "ok", refused_frame: "degraded", disconnected: "degraded", channel_stopped: "down" };
const PAGE = 100;
const nothing = tableRow([["no events"]]);
let lines = new Map(); // by what an event says: a line that was opened stays open when others come
let newest = [];
let page = null; // { until, offset } of a choice; null: the newest of everything, live
let asked = 0;

export function showEvents(events) {
  newest = events;
  if (!page) show(events);
}

export function offerMarkets(markets) {
  const select = place("events-market");
  const options = markets.map(([venue, symbol]) => `${venue} ${symbol}`);
  if (select.dataset.said === options.join()) return;
  select.dataset.said = options.join();
  const before = select.value;
  select.replaceChildren(make("option", "all markets", { value: "" }), ...options.map((name) => make("option", name, { value: name })));
  select.value = options.includes(before) ? before : "";
}

function show(events) {
  const before = lines;
  lines = new Map(events.map((event) => [JSON.stringify(event), event]).map(([said, event]) => [said, before.get(said) ?? line(event)]));
  const body = place("events");
  const wanted = new Set(events.length ? lines.values() : [nothing]);
  for (const node of [...body.children]) if (!wanted.has(node)) node.remove();
  let next = body.firstElementChild;
  for (const node of wanted) {
    if (node === next) next = next.nextElementSibling;
    else body.insertBefore(node, next);
  }
}

function line([at, venue, symbol, channel, , event, cause, detail, from, to, , words, command]) {
  const node = tableRow([
    [clock(at), "when"], [[venue, symbol, channel].filter(Boolean).join(" ")], [event.replaceAll("_", " "), "", VERDICTS[event] || "idle"],
    [cause.replaceAll("_", " ")], [[detail, from === null ? "" : `${count(from)} – ${count(to)}`].filter(Boolean).join(" · "), "detail"],
  ]);
  if (words) node.lastElementChild.append(whatToDo(words, command));
  return node;
}

async function choose(offset) {
  const [venue = "", symbol = ""] = place("events-market").value.split(" ");
  const kind = place("events-kind").value;
  if (!venue && kind === "all" && !offset) {
    page = null;
    say(place("events-page"), "the newest");
    place("events-newer").disabled = true;
    place("events-older").disabled = false;
    show(newest);
    return;
  }
  const mine = ++asked;
  page = { until: offset && page ? page.until : Math.round(Date.now() * 1000), offset };
  say(place("events-page"), "loading …");
  try {
    const got = await fetch(`/api/history?${new URLSearchParams({ venue, symbol, kind, until: page.until, offset })}`);
    if (!got.ok) throw new Error(`the page's server answered ${got.status}`);
    const events = await got.json();
    if (mine !== asked || !page) return;
    show(events);
    say(place("events-page"), events.length ? `${count(offset + 1)} to ${count(offset + events.length)}` : "no more");
    place("events-newer").disabled = !offset;
    place("events-older").disabled = events.length < PAGE;
  } catch (error) {
    say(place("events-page"), `cannot load: ${error.message}`);
  }
}

offerFiles("events-files", "events", () => {
  const [venue = "", symbol = ""] = place("events-market").value.split(" ");
  return { venue, symbol, kind: place("events-kind").value, until: page?.until ?? Math.round(Date.now() * 1000) };
});
for (const id of ["events-market", "events-kind"]) place(id).addEventListener("change", () => choose(0));
place("events-older").addEventListener("click", () => choose(page ? page.offset + PAGE : newest.length));
place("events-newer").addEventListener("click", () => choose(Math.max(0, (page?.offset ?? 0) - PAGE)));
