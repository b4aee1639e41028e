// The book: a ladder of the best levels, what it says in figures, and how much is bought and sold down to each price.
import { fill, make, place, say, showCommand, vector } from "./document.js";
import { clock, length } from "./words.js";

const LADDER = 15;
const REACHES = [1, 2, 5, 10, 25, 50, 100, 200, 500]; // of the depth chart, in basis points from the middle
const WIDTH = 600, HEIGHT = 240;
const short = (text) => text.includes(".") ? text.replace(/\.?0+$/, "") : text;

// Until the first answer about a market.
export const awaitBook = () => showNone("loading …");

// null: the warehouse has no update of the last hour.
export function showBook(book) {
  if (!book) return showNone("no book within the last hour");
  if (!book.bids.length || !book.asks.length) return showNone("updates are loaded, but no snapshot with both sides yet");
  const [bids, asks] = [cumulate(book.bids), cumulate(book.asks)];
  showLadder(bids.slice(0, LADDER), asks.slice(0, LADDER));
  say(place("book-figures"), figures(bids, asks));
  say(place("book-proof"), proof(book, Date.now() * 1000));
  place("book-proof").dataset.verdict = book.is_proven ? "ok" : "down";
  showCommand(place("book-do"), book.command, "The next snapshot repairs it. To see why:");
  say(place("depth-words"), drawDepth(place("depth"), bids, asks) + ` · ${clock(book.event_time)}`);
}

function showNone(words) {
  fill("top", [[[words]]]);
  place("depth").replaceChildren();
  ["depth-left", "depth-middle", "depth-right", "depth-words", "book-figures", "book-proof"].forEach((id) => say(place(id), ""));
  showCommand(place("book-do"), "");
}

function showLadder(bids, asks) {
  const most = Math.max(bids.at(-1).total, asks.at(-1).total);
  const rows = [...asks.map((level) => ["ask", level]).reverse(), ...bids.map((level) => ["bid", level])];
  const said = JSON.stringify(rows);
  const body = place("top");
  if (body.dataset.said === said) return;
  body.dataset.said = said;
  body.replaceChildren(...rows.map(([side, level]) => {
    const line = make("tr", "", { class: `level ${side}` });
    line.style.setProperty("--share", `${(level.total / most) * 100}%`);
    line.append(make("td", side), make("td", short(level.text), { class: "number" }), make("td", short(level.quantity), { class: "number" }), make("td", level.total.toPrecision(5), { class: "number" }));
    return line;
  }));
}

// Spread; microprice: the middle, weighted by the size on the other side; imbalance: bids less asks, of both, in the ladder.
export function figures([bid, ...bids], [ask, ...asks]) {
  const middle = (bid.price + ask.price) / 2;
  const micro = (bid.price * ask.size + ask.price * bid.size) / (bid.size + ask.size);
  const sum = (best, levels) => [best, ...levels].slice(0, LADDER).reduce((total, level) => total + level.size, 0);
  const [bought, sold] = [sum(bid, bids), sum(ask, asks)];
  const digits = Math.max(0, Math.min(10, 6 - Math.floor(Math.log10(middle)) - 1)) + 1;
  return [
    `spread ${Number((ask.price - bid.price).toPrecision(6))} (${Number((((ask.price - bid.price) / middle) * 1e4).toPrecision(2))} bps)`,
    `microprice ${micro.toFixed(digits)}`,
    `imbalance ${Math.round(((bought - sold) / (bought + sold)) * 100) || 0} % of ${LADDER} levels`,
  ].join(" · ");
}

// `now`: microseconds since 1970.
export function proof(book, now) {
  const ago = (us) => length(Math.max(0, (now - us) / 1e6));
  if (!book.is_proven) return book.broken_at ? `unverified since ${clock(book.broken_at)}: updates are missing` : "unverified: updates are missing";
  return book.proven_at ? `verified against a snapshot ${ago(book.proven_at)} ago` : "every update since its snapshot is here";
}

function drawDepth(svg, bids, asks) {
  const middle = (bids[0].price + asks[0].price) / 2;
  const distance = (level) => Math.abs(level.price - middle) / middle * 1e4;
  const known = Math.min(distance(bids.at(-1)), distance(asks.at(-1))) || 1;
  const reach = REACHES.filter((one) => one <= known).at(-1) ?? known;
  const within = [bids, asks].map((side) => side.filter((level) => distance(level) <= reach));
  const most = Math.max(...within.map((side) => side.at(-1)?.total ?? 0)) || 1;
  const x = (price) => ((price - middle) / middle * 1e4 / reach + 1) / 2 * WIDTH;
  const y = (total) => HEIGHT - (total / most) * (HEIGHT - 8);
  svg.replaceChildren(...within.flatMap((side, index) => {
    if (!side.length) return [];
    let path = `M ${x(side[0].price)} ${HEIGHT}`;
    let before = HEIGHT;
    for (const level of side) {
      path += ` L ${x(level.price)} ${before} L ${x(level.price)} ${y(level.total)}`;
      before = y(level.total);
    }
    const end = index ? WIDTH : 0;
    path += ` L ${end} ${before} L ${end} ${HEIGHT} Z`;
    const colour = index ? "var(--down)" : "var(--up)";
    return [vector("path", { d: path, fill: colour, "fill-opacity": 0.3, stroke: colour, "vector-effect": "non-scaling-stroke" })];
  }));
  const digits = Math.max(0, Math.min(10, 2 - Math.floor(Math.log10(middle * reach / 1e4))));
  ["depth-left", "depth-middle", "depth-right"].forEach((id, index) => say(place(id), (middle * (1 + (index - 1) * reach / 1e4)).toFixed(digits)));
  const total = (side) => (side.at(-1)?.total ?? 0).toPrecision(4);
  const said = `bids ${total(within[0])}, asks ${total(within[1])} within ${Number(reach.toPrecision(2))} bps of ${middle.toFixed(digits)}`;
  svg.setAttribute("aria-label", `Depth chart: ${said}`);
  return said;
}

export function cumulate(levels) {
  let total = 0;
  return levels.map(([price, quantity]) => ({ price: Number(price), text: price, size: Number(quantity), quantity, total: (total += Number(quantity)) }));
}
