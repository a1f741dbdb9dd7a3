// Interactive elements. `input()` answers {node, read}: the control and how to read its value in
// the form that the stand-in's controls take (a string, or a list of option values).
import { h } from "./dom.js";
import { searched } from "./search.js";
import { names, plain, textObject } from "./mrkdwn.js";

const TYPES = { email_text_input: "email", url_text_input: "url", number_input: "number", datepicker: "date" };
let counter = 0;

export const INPUTS = new Set([
  "plain_text_input", "checkboxes", "radio_buttons", "static_select", "users_select", "external_select", ...Object.keys(TYPES),
]);

function start(element, value) {
  if (value !== undefined) return value;
  if (element.initial_option) return element.initial_option.value;
  if (element.initial_options) return element.initial_options.map((o) => o.value);
  const key = Object.keys(element).find((k) => k.startsWith("initial_"));
  return key ? element[key] : undefined;
}

export function input(element, { value, label, describedby, changed, suggest } = {}) {
  const now = start(element, value);
  const id = `in${++counter}`;
  const common = {
    id, "data-action-id": element.action_id, "aria-describedby": describedby,
    "aria-label": label ? null : element.placeholder?.text || element.action_id,
    placeholder: element.placeholder?.text, onchange: changed && (() => changed(read())),
  };
  let node, read;
  if (element.type === "external_select") {
    return { ...searched(element, { id, value: now, common, suggest, changed }), id };
  }
  if (element.type === "checkboxes" || element.type === "radio_buttons") {
    const many = element.type === "checkboxes";
    const boxes = element.options.map((option) => {
      const held = many ? (now || []).includes(option.value) : now === option.value;
      return h("label", { class: "choice" },
        h("input", {
          type: many ? "checkbox" : "radio", name: id, value: option.value, checked: held,
          onchange: changed && (() => changed(read())),
        }),
        h("span", {}, textObject(option.text),
          option.description && h("small", {}, textObject(option.description))));
    });
    node = h("div", {
      class: "choices", role: many ? "group" : "radiogroup", "data-action-id": element.action_id,
      "aria-label": label, "aria-describedby": describedby,
    }, boxes);
    const marked = () => [...node.querySelectorAll("input:checked")].map((b) => b.value);
    read = () => (many ? marked() : marked()[0] ?? null);
  } else if (element.type === "static_select" || element.type === "users_select") {
    const options = element.type === "users_select"
      ? [...names.users].map(([key, name]) => ({ value: key, text: { text: name } }))
      : (element.options || (element.option_groups || []).flatMap((g) => g.options));
    node = h("select", common,
      h("option", { value: "" }, element.placeholder?.text || "Select an option"),
      options.map((o) => h("option", { value: o.value, selected: o.value === now }, o.text.text)));
    read = () => node.value || null;
  } else {
    node = element.multiline ? h("textarea", { ...common, rows: 4 })
      : h("input", { ...common, type: TYPES[element.type] || "text" });
    node.value = now ?? "";
    if (element.max_length) node.maxLength = element.max_length;
    read = () => node.value;
  }
  return { node, read, id };
}

// A button; one with a URL is a link that also tells the app.
export function button(element, press) {
  const props = {
    class: `button ${element.style || ""}`, "data-action-id": element.action_id,
    "aria-label": element.accessibility_label,
  };
  const content = plain(element.text?.text || "");
  return element.url && /^https?:/i.test(element.url)
    ? h("a", { ...props, href: element.url, target: "_blank", rel: "noopener noreferrer", onclick: press }, content)
    : h("button", { ...props, type: "button", onclick: press }, content);
}

export function overflow(element, press) {
  const list = h("div", { class: "menu" }, element.options.map((option) =>
    h("button", { type: "button", "data-value": option.value, onclick: () => press(option.value) },
      plain(option.text.text))));
  return h("details", { class: "overflow", "data-action-id": element.action_id },
    h("summary", { "aria-label": "More actions" }, "⋯"), list);
}
