// The caption of a small chart: words about the place under the pointer while one is over the chart, else about the whole chart.
import { say } from "./document.js";

const told = new WeakMap(); // by chart: what `tell` was last called with, and where the pointer is

// Called with each drawing: under a pointer that rests, the caption goes on telling that place. `wordsAt` takes a share of the width.
export function tell(chart, caption, whole, wordsAt) {
  const known = told.get(chart) ?? begin(chart);
  Object.assign(known, { caption, whole, wordsAt });
  speak(chart, known);
}

function begin(chart) {
  const known = { x: null };
  told.set(chart, known);
  const move = (event) => { known.x = event.clientX; speak(chart, known); };
  chart.addEventListener("pointermove", move);
  chart.addEventListener("pointerdown", move);
  chart.addEventListener("pointerleave", () => { known.x = null; speak(chart, known); });
  return known;
}

function speak(chart, { caption, whole, wordsAt, x }) {
  const { left, width } = x === null ? {} : chart.getBoundingClientRect();
  say(caption, width ? wordsAt(Math.max(0, Math.min(1, (x - left) / width))) : whole);
}
