// The page: loads the current state, then listens for events. All text enters the document as text, never as markup.
import { copyable, fill, make, place, say, showCommand, tableRow } from "./document.js";
import { offerMarkets, showEvents } from "./events.js";
import { watchHealth } from "./health.js";
import { market } from "./market.js";
import { clock, count, length, several, size } from "./words.js";

const WORDS = { ok: "healthy", degraded: "late", down: "trouble", idle: "idle" };
const STAGES = {
  venue: ["Venue", "last message received"],
  lake: ["Lake", "newest object stored"],
  warehouse: ["Warehouse", "newest message that can be queried"],
  gold: ["Gold", "loads are in gold up to"],
};
const NO_CHECK = "no result is stored: tickhouse checks stores it, while no other process holds its folder";
let source = null;
let heard = performance.now();

function ago(seconds) {
  if (seconds === null) return "–";
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

function showState(state) {
  heard = performance.now();
  if (!state.stages) return;
  showVerdict(state.verdict, state.words);
  say(place("at"), clock(state.at));
  showStages(state.stages);
  market.offer(state.markets, state.stages.find(({ name }) => name === "warehouse")?.words ?? "");
  showCoverage(state);
  fill("queues", state.queues.map((queue) => [
    [queue.name], [count(queue.waiting), "number"], [count(queue.in_flight), "number"],
    [count(queue.dead), "number", queue.dead ? "down" : ""],
  ]));
  showCommands("queue-commands", state.queues.map((queue) => [queue.name, queue.command, queue.note]));
  showLimits(state);
  showProcesses(state.processes, state.recorders, state.at / 1e6);
  showCommands("check-commands", state.checks.map(([name, , , , , , command]) => [name, command, ""]));
  fill("checks", state.checks.length ? state.checks.map(([name, severity, verdict, findings, at, detail]) => [
    [detail && verdict === "failed" ? `${name}: ${detail}` : name, "detail"],
    [verdict, "", verdict === "passed" ? "ok" : severity === "error" ? "down" : "degraded"], [count(findings), "number"], [clock(at), "when"],
  ]) : [[[state.loading.includes("checks") ? "loading …" : NO_CHECK]]]);
  offerMarkets(state.markets);
  showEvents(state.events);
}

function showVerdict(verdict, words) {
  place("verdict").dataset.verdict = verdict;
  say(place("verdict-word"), WORDS[verdict]);
  say(place("words"), words);
  document.title = `${WORDS[verdict]} · tickhouse`;
}

function showStages(stages) {
  const list = place("stages");
  if (list.children.length !== stages.length) {
    list.replaceChildren(...stages.map((stage) => {
      const item = make("li", "", { id: `stage-${stage.name}` });
      const head = make("strong");
      head.append(make("span", STAGES[stage.name][0]), make("span", "", { class: "word" }));
      item.append(head, make("p", STAGES[stage.name][1]), make("p", "", { class: "age" }), make("p", "", { class: "words" }), make("p", "", { class: "do" }));
      return item;
    }));
  }
  for (const stage of stages) {
    const item = place(`stage-${stage.name}`);
    item.dataset.verdict = stage.verdict;
    say(item.querySelector(".word"), WORDS[stage.verdict]);
    say(item.querySelector(".age"), ago(stage.age_seconds));
    say(item.querySelector(".words"), stage.words);
    showCommand(item.querySelector(".do"), stage.command);
  }
}

function showCoverage(state) {
  const hours = state.coverage_hours;
  say(place("coverage-hours"), String(hours));
  const said = JSON.stringify([state.coverage, state.loading.includes("coverage"), Math.floor(state.at / 3.6e9)]);
  const table = place("coverage");
  if (table.dataset.said === said) return;
  table.dataset.said = said;
  const first = Math.floor(state.at / 3.6e9) - hours + 1;
  const rows = new Map();
  for (const [venue, symbol, hour, minutes, complete, proven, gaps, healed] of state.coverage) {
    const name = `${venue} ${symbol}`;
    if (!rows.has(name)) rows.set(name, new Array(hours).fill(null));
    const index = hour / 3.6e9 - first;
    if (index >= 0 && index < hours) rows.get(name)[index] = { minutes, complete, proven, gaps, healed };
  }
  const head = make("tr");
  head.append(make("th", "market", { scope: "col" }), ...Array.from({ length: hours }, (_, index) => make("th", String((first + index) % 24).padStart(2, "0"), { scope: "col" })));
  const body = [...rows].map(([name, cells]) => {
    const line = make("tr");
    line.append(make("th", name, { scope: "row" }), ...cells.map((cell, index) => {
      const elapsed = first + index === Math.floor(state.at / 3.6e9) ? Math.max(1, Math.floor((state.at % 3.6e9) / 6e7)) : 60;
      const share = cell ? Math.min(1, cell.complete / elapsed) : 0;
      const grade = !cell || !cell.minutes ? "none" : share > 0.97 ? "full" : share >= 0.5 ? "most" : "some";
      const words = cell ? `${cell.complete} of ${several(elapsed, "minute", "minutes")} complete, book verified for ${length(cell.proven)}, ${several(cell.gaps, "gap", "gaps")}, ${count(cell.healed)} healed` : "nothing";
      const data = make("td");
      const mark = make("span", cell && cell.gaps ? "●" : "", { class: "cell", "data-share": grade, title: words });
      data.append(mark, make("span", words, { class: "hidden" }));
      return data;
    }));
    return line;
  });
  table.replaceChildren(make("caption", "Complete minutes of each hour by market", { class: "hidden" }), make("thead"), make("tbody"));
  table.tHead.append(head);
  table.tBodies[0].append(...(body.length ? body : [tableRow([[state.loading.includes("coverage") ? "loading …" : "nothing is recorded in these hours"]])]));
  if (!table.dataset.seen && body.length) {
    table.dataset.seen = "yes";
    table.parentElement.scrollLeft = table.scrollWidth; // now is at the right
  }
}

function showLimits(state) {
  const lines = [
    ...state.weights.map((one) => [`Request weight, ${one.process} ${one.venue}`, one.used, one.limit, (value) => count(value)]),
    ...state.spools.map((one) => [`Spool, ${one.venue} ${one.instance}`, one.bytes, one.limit, size]),
  ];
  place("limits").replaceChildren(...(lines.length ? lines.flatMap(([name, value, limit, write]) => {
    const term = make("dt");
    term.append(make("span", name), make("span", limit ? `${write(value)} of ${write(limit)}` : write(value)));
    const detail = make("dd");
    if (limit) detail.append(make("meter", "", { min: 0, max: limit, high: limit * 0.9, value, "aria-label": name }));
    return [term, detail];
  }) : [make("dt", "No process reports this: see STATUS_TARGETS"), make("dd")]));
}

// Below a table: what to do about each of its red rows.
function showCommands(id, lines) {
  const red = lines.filter(([, command]) => command);
  const list = place(id);
  const said = JSON.stringify(red);
  if (list.dataset.said === said) return;
  list.dataset.said = said;
  list.replaceChildren(...red.map(([name, command, note]) => {
    const line = make("li", `${name}: `);
    line.append(copyable(command, note));
    return line;
  }));
}

// What runs, and since when: by its own words, else by the heartbeats of a recorder.
function showProcesses(processes, recorders, now) {
  const isKnown = processes.some(({ name }) => name.startsWith("stream"));
  const lines = [
    ...processes.map(({ name, trouble, since, command }) => ({
      word: trouble.length ? "not ready" : "ready", verdict: trouble.length ? "down" : "ok", command,
      words: [name, ...(since ? [`up ${length(now - since)}`] : []), ...(trouble.length ? [trouble.join("; ")] : [])].join(" · "),
    })),
    ...(isKnown ? [] : recorders.map(({ name, since, seen }) => ({
      word: "heartbeats", verdict: "idle", command: "", words: `${name} · up ${length(seen - since)}, last heartbeat ${length(Math.max(0, now - seen))} ago`,
    }))),
  ];
  const list = place("processes");
  if (list.children.length !== Math.max(1, lines.length) || !lines.length) {
    list.replaceChildren(...(lines.length ? lines.map(() => {
      const line = make("li");
      line.append(make("span", "", { class: "verdict" }), make("span", "", { class: "words" }), make("span", "", { class: "do" }));
      return line;
    }) : [make("li", "nothing runs here; STATUS_TARGETS names processes elsewhere", { class: "quiet" })]));
  }
  lines.forEach((one, index) => {
    const [word, words, command] = list.children[index].children;
    word.dataset.verdict = one.verdict;
    say(word, one.word);
    say(words, ` ${one.words} `);
    showCommand(command, one.command);
  });
}

function listen(query) {
  if (source) source.close();
  source = new EventSource(query ? `/api/events?${query}` : "/api/events");
  const mine = source;
  source.addEventListener("error", () => { // a refused stream (no place, token gone) does not come back by itself
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => { if (source === mine) listen(query); }, 5000);
  });
  source.addEventListener("state", (event) => showState(JSON.parse(event.data)));
  source.addEventListener("market", (event) => { const news = JSON.parse(event.data); if (news.klines) market.hear(news); });
}

market.onChoice(listen);
watchHealth();
place("theme").addEventListener("click", () => {
  const isDark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
  market.paint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => market.paint());
setInterval(() => {
  if (performance.now() - heard > 10000) showVerdict("down", "the page's server does not answer: is it running?");
}, 1000);
listen(null);
market.begin();
