// The SQL page: a statement, its result as a table, and as CSV. All values enter the document as text.
import { make, place, say } from "./document.js";
import { several } from "./words.js";

const NUMBER = /^(Nullable\()?(U?Int|Float|Decimal)/;
let running = null;

async function ask(format) {
  const sql = place("statement").value;
  running?.abort();
  const mine = running = new AbortController();
  say(place("said"), "running …");
  place("run").disabled = place("csv").disabled = true;
  try {
    const answer = await fetch(`/api/sql?format=${format}`, { method: "POST", headers: { "Content-Type": "application/sql" }, body: sql, signal: mine.signal });
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  } catch (error) {
    say(place("said"), error.message);
    place("said").dataset.verdict = "down";
    return null;
  } finally {
    place("run").disabled = place("csv").disabled = false;
  }
}

async function run() {
  const answer = await ask("table");
  if (!answer) return;
  const { columns, rows, is_whole: isWhole, seconds } = await answer.json();
  const isNumber = columns.map(([, kind]) => NUMBER.test(kind));
  place("columns").replaceChildren(...columns.map(([name, kind], index) => make("th", name, { scope: "col", title: kind, ...(isNumber[index] ? { class: "number" } : {}) })));
  place("rows").replaceChildren(...rows.map((row) => {
    const line = make("tr");
    line.append(...row.map((value, index) => make("td", value ?? "null", { class: value === null ? "quiet" : isNumber[index] ? "number" : "" })));
    return line;
  }));
  delete place("said").dataset.verdict;
  say(place("said"), `${several(rows.length, "row", "rows")}${isWhole ? "" : ", and more: CSV has all"} · ${seconds} s`);
}

async function save() {
  const answer = await ask("csv");
  if (!answer) return;
  const link = make("a", "", { href: URL.createObjectURL(await answer.blob()), download: "tickhouse.csv" });
  link.click();
  URL.revokeObjectURL(link.href);
  delete place("said").dataset.verdict;
  say(place("said"), "saved as tickhouse.csv");
}

async function offerExamples() {
  const answer = await fetch("/api/examples");
  if (!answer.ok) return;
  const parts = (await answer.text()).trim().split(/\n\n(?=-- )/).slice(1);
  const examples = parts.map((part) => part.split(/\n([^]*)/)).map(([title, sql]) => [title.replace(/^-- /, ""), sql.trim().replace(/;$/, "")]);
  place("example").append(...examples.map(([title], index) => make("option", title, { value: String(index) })));
  place("example").addEventListener("change", (event) => { if (event.target.value) place("statement").value = examples[event.target.value][1]; });
}

place("run").addEventListener("click", run);
place("csv").addEventListener("click", save);
place("statement").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } });
offerExamples();
