// The depth chart: how much could be bought and sold down to each price, both sides to the same distance.
const WIDTH = 600, HEIGHT = 240, FOOT = 20;
const NAMES = "http://www.w3.org/2000/svg";

export function drawDepth(svg, book) {
  const sides = [cumulate(book.bids), cumulate(book.asks)];
  const middle = (sides[0][0].price + sides[1][0].price) / 2;
  const reach = Math.min(...sides.map((side) => Math.abs(side.at(-1).price - middle))) || middle * 1e-4;
  const within = sides.map((side) => side.filter((level) => Math.abs(level.price - middle) <= reach));
  const most = Math.max(...within.map((side) => side.at(-1)?.total || 0)) || 1;
  const x = (price) => ((price - middle + reach) / (2 * reach)) * WIDTH;
  const y = (total) => HEIGHT - FOOT - (total / most) * (HEIGHT - FOOT - 8);
  const nodes = within.map((side, index) => {
    let path = `M ${x(side[0].price)} ${HEIGHT - FOOT}`;
    let before = HEIGHT - FOOT;
    for (const level of side) {
      path += ` L ${x(level.price)} ${before} L ${x(level.price)} ${y(level.total)}`;
      before = y(level.total);
    }
    const end = index ? WIDTH : 0;
    path += ` L ${end} ${before} L ${end} ${HEIGHT - FOOT} Z`;
    const colour = index ? "var(--down)" : "var(--up)";
    return make("path", { d: path, fill: colour, "fill-opacity": 0.3, stroke: colour, "vector-effect": "non-scaling-stroke" });
  });
  const digits = Math.max(0, Math.min(10, 2 - Math.floor(Math.log10(reach))));
  svg.replaceChildren(...nodes);
  const words = `bids ${amount(within[0])}, asks ${amount(within[1])} within ${((reach / middle) * 1e4).toFixed(1)} bps of ${middle.toFixed(digits)}, spread ${(((sides[1][0].price - sides[0][0].price) / middle) * 1e4).toPrecision(2)} bps`;
  svg.setAttribute("aria-label", `Depth chart: ${words}`);
  return words;
}

function cumulate(levels) {
  let total = 0;
  return levels.map(([price, quantity]) => ({ price: Number(price), total: (total += Number(quantity)) }));
}

const amount = (side) => (side.at(-1)?.total ?? 0).toPrecision(4);

function make(tag, attributes) {
  const node = document.createElementNS(NAMES, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
