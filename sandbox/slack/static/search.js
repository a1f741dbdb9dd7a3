// A list that is searched while typing: the stand-in asks the app for what is in it (external_select).
import { h } from "./dom.js";

const PAUSE = 150;           // milliseconds without a key before the app is asked
const labels = new Map();    // an option's value -> its text, because a view keeps values only
let counter = 0;

export function searched(element, { id, value, common, suggest, changed }) {
  for (const option of [element.initial_option].filter(Boolean)) {
    labels.set(`${element.action_id} ${option.value}`, option.text.text);
  }
  const labelOf = (v) => labels.get(`${element.action_id} ${v}`) || "";
  let chosen = value || null;
  let active = -1;
  let asked = 0;
  let timer;
  const list = h("ul", { class: "options", role: "listbox", id: `${id}-options`, hidden: true, "aria-label": element.placeholder?.text || "Options" });
  const said = h("p", { class: "said", role: "status" });
  const box = h("input", {
    ...common, onchange: undefined, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  });
  const node = h("div", { class: "search" }, box, list, said);
  box.value = chosen ? labelOf(chosen) : "";

  const shut = () => {
    clearTimeout(timer);
    asked++;
    list.hidden = true;
    active = -1;
    said.textContent = "";
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const point = (index) => {
    const rows = [...list.children];
    if (!rows.length) return;
    active = (index + rows.length) % rows.length;
    rows.forEach((row, i) => row.setAttribute("aria-selected", String(i === active)));
    box.setAttribute("aria-activedescendant", rows[active].id);
    rows[active].scrollIntoView({ block: "nearest" });
  };
  const pick = (option) => {
    labels.set(`${element.action_id} ${option.value}`, option.text.text);
    const before = chosen;
    chosen = option.value;
    box.value = option.text.text;
    shut();
    if (changed && before !== chosen) changed(chosen);
  };
  const load = async () => {
    const mine = ++asked;
    const text = chosen && box.value === labelOf(chosen) ? "" : box.value;
    said.textContent = "Loading…";
    said.classList.remove("failed");
    const answer = await suggest(text);
    if (mine !== asked) return;  // something else was typed meanwhile
    said.classList.toggle("failed", Boolean(answer.error));
    said.title = answer.error || "";
    said.textContent = answer.notice || (answer.options.length ? "" : "No results");
    list.replaceChildren(...answer.options.map((option) => {
      const row = h("li", { role: "option", id: `option${++counter}`, "data-value": option.value, "aria-selected": "false" },
        h("span", {}, option.text.text), option.description && h("small", {}, option.description.text));
      // Before the box loses the focus, which would shut the list.
      row.addEventListener("mousedown", (event) => { event.preventDefault(); pick(option); });
      row.option = option;
      return row;
    }));
    list.hidden = !answer.options.length;
    box.setAttribute("aria-expanded", String(!list.hidden));
    active = -1;
  };
  box.addEventListener("click", () => { if (list.hidden) { box.select(); load(); } });
  box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(load, PAUSE); });
  box.addEventListener("blur", () => { shut(); box.value = chosen ? labelOf(chosen) : ""; });
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) load();
      else point(active < 0 && event.key === "ArrowUp" ? -1 : active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && !list.hidden) {
      event.preventDefault();
      const row = list.children[Math.max(active, 0)];
      if (row) pick(row.option);
    } else if (event.key === "Escape" && (!list.hidden || said.textContent)) {
      event.preventDefault();
      event.stopPropagation();
      shut();
    }
  });
  return { node, read: () => chosen };
}
