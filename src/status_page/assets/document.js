// Small helpers for the document. All text enters it as text, never as markup.
export const place = (id) => document.getElementById(id);
export const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
export const clock = (us) => new Date(us / 1000).toISOString().slice(0, 19).replace("T", " ");
export const count = (value) => Number(value).toLocaleString("en");

export function make(tag, text = "", attributes = {}) {
  const node = document.createElement(tag);
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export function fill(id, rows) {
  const body = place(id);
  const said = JSON.stringify(rows);
  if (body.dataset.said === said) return; // keeps the scroll position
  body.dataset.said = said;
  body.replaceChildren(...rows.map((cells) => {
    const line = make("tr");
    line.append(...cells.map(([text, name = "", verdict = ""]) => {
      const cell = make("td", verdict ? "" : text, name ? { class: name } : {});
      if (verdict) cell.append(make("span", text, { class: "verdict", "data-verdict": verdict }));
      return cell;
    }));
    return line;
  }));
}
