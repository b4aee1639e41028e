// Small helpers for the document. All text enters it as text, never as markup.
export const place = (id) => document.getElementById(id);
export const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };

export function make(tag, text = "", attributes = {}) {
  const node = document.createElement(tag);
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export function vector(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// A command to copy; the same node where it is the same command, so that focus stays.
export function copyable(command, note = "") {
  const button = make("button", "Copy", { type: "button", "aria-label": `Copy the command ${command}` });
  button.addEventListener("click", async () => {
    await copy(command, button);
    say(button, "Copied");
    setTimeout(() => say(button, "Copy"), 2000);
  });
  const whole = make("span", "", { class: "command", "data-command": command });
  whole.append(...(note ? [make("span", note, { class: "quiet" })] : []), make("code", command), button);
  return whole;
}

// What to do about something, on demand: a sentence and, where there is one, a command.
export function whatToDo(words, command) {
  const node = make("details");
  node.append(make("summary", "What to do"), remedy(words, command));
  return node;
}

export function remedy(words, command) {
  const node = make("p", `${words} `, { class: "remedy" });
  if (command) node.append(copyable(command));
  return node;
}

export function showCommand(node, command, note = "") {
  if ((node.firstElementChild?.dataset.command ?? "") === command) return;
  node.replaceChildren(...(command ? [copyable(command, note)] : []));
}

async function copy(text, button) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = make("textarea", "", { readonly: "", class: "hidden" }); // http on another host: no clipboard
  box.value = text;
  button.after(box);
  box.select();
  document.execCommand("copy");
  box.remove();
  return button.focus();
}

// Buttons that save what is shown: /api/export/<what>.csv and .parquet; `query` says what is shown at that moment.
export function offerFiles(id, what, query) {
  const said = make("span", "", { role: "status", class: "quiet" });
  place(id).append(...["CSV", "Parquet"].map((name) => {
    const button = make("button", name, { type: "button", "aria-label": `Save the ${what} as ${name}` });
    button.addEventListener("click", () => save(`${what}.${name.toLowerCase()}`, query(), said, button));
    return button;
  }), said);
}

async function save(file, query, said, button) {
  say(said, "saving …");
  button.disabled = true;
  try {
    const answer = await fetch(`/api/export/${file}?${new URLSearchParams(query)}`);
    if (!answer.ok) throw new Error(await answer.text());
    const link = make("a", "", { href: URL.createObjectURL(await answer.blob()), download: `tickhouse-${file}` });
    link.click();
    URL.revokeObjectURL(link.href);
    say(said, `saved as tickhouse-${file}`);
  } catch (error) {
    say(said, `cannot save: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

export function fill(id, rows) {
  const body = place(id);
  const said = JSON.stringify(rows);
  if (body.dataset.said === said) return; // keeps the scroll position
  body.dataset.said = said;
  body.replaceChildren(...rows.map(tableRow));
}

// Of cells: a text each, with a class and a verdict where they have one.
export function tableRow(cells) {
  const line = make("tr");
  line.append(...cells.map(([text, name = "", verdict = ""]) => {
    const cell = make("td", verdict ? "" : text, name ? { class: name } : {});
    if (verdict) cell.append(make("span", text, { class: "verdict", "data-verdict": verdict }));
    return cell;
  }));
  return line;
}
