// Modals, confirmations, and Home: everything that is a view or asks back.
import { h, post } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { plain, textObject } from "./mrkdwn.js";

const TROUBLE = "We had some trouble connecting. Try again?";

// Ask as the element's `confirm` object wants; answers true or false.
export function confirmed(confirm) {
  if (!confirm) return Promise.resolve(true);
  const box = document.getElementById("confirm");
  return new Promise((resolve) => {
    const close = (answer) => { box.close(); resolve(answer); };
    box.replaceChildren(
      h("header", {}, h("h2", { id: "confirm-title" }, plain(confirm.title?.text || "Are you sure?"))),
      h("div", { class: "body" }, textObject(confirm.text || { text: "" })),
      h("footer", {},
        h("button", { type: "button", class: "button", onclick: () => close(false) }, plain(confirm.deny?.text || "Cancel")),
        h("button", { type: "button", class: `button ${confirm.style || "primary"}`, onclick: () => close(true) },
          plain(confirm.confirm?.text || "Yes"))));
    box.oncancel = () => resolve(false);
    box.showModal();
    box.querySelector("footer button:last-child").focus();
  });
}

// What a view's inputs hold: {block id: {action id: value}}.
export function valuesOf(inputs) {
  const values = {};
  for (const { block, el, read } of inputs) (values[block.block_id] ||= {})[el.action_id] = read();
  return values;
}

// Draw a view's blocks into `box`; what was typed into the same input before stays.
export function drawView(box, view, person, press) {
  const kept = box.inputs && box.viewId === view.id ? valuesOf(box.inputs) : {};
  box.inputs = [];
  box.viewId = view.id;
  const ctx = {
    inputs: box.inputs,
    held: (block, el) => kept[block.block_id]?.[el.action_id],
    suggest: (el, block, text) => post("/_sandbox/suggest", {
      user: person, view_id: view.id, block_id: block.block_id, action_id: el.action_id, value: text,
      values: valuesOf(box.inputs) }),
    press: (el, block, value, anchor) => press(
      { user: person, view_id: view.id, values: valuesOf(box.inputs) }, el, block, value, anchor),
  };
  return renderBlocks(view.blocks, ctx);
}

// Show the top view of the stack, or nothing.
export function showModals(stack, person, press, refresh) {
  const dialog = document.getElementById("modal");
  const view = stack.at(-1);
  if (!view) {
    if (dialog.open) dialog.close();
    dialog.inputs = undefined;
    dialog.shown = undefined;
    return;
  }
  const shown = `${view.id} ${view.hash}`;
  if (dialog.shown === shown) return;
  dialog.shown = shown;
  dialog.dataset.viewId = view.id;
  // Whoever was in a box that is still there stays in it.
  const here = dialog.open && dialog.contains(document.activeElement) ? document.activeElement : null;
  const place = here?.closest("[data-block-id]")?.dataset.blockId;
  const blocks = drawView(dialog, view, person, press);

  const close = async () => {
    await post("/_sandbox/close", { user: person, view_id: view.id });
    refresh();
  };
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const submit = view.submit !== null && h("button", { type: "submit", class: "button primary" }, plain(view.submit.text));
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      if (!submit || submit.disabled) return;
      submit.disabled = true;
      trouble.hidden = true;
      for (const node of dialog.querySelectorAll(".wrong")) node.textContent = "";
      const said = await post("/_sandbox/submit", {
        user: person, view_id: view.id, values: valuesOf(dialog.inputs) });
      submit.disabled = false;
      const errors = Object.entries(said.errors || {});
      for (const [block, message] of errors) {
        const node = document.getElementById(`wrong-${block}`);
        if (node) node.textContent = message;
        else Object.assign(trouble, { textContent: message, hidden: false });
      }
      if (errors.length) dialog.querySelector(`[data-block-id="${CSS.escape(errors[0][0])}"] [data-action-id]`)?.focus();
      if (said.error && !errors.length) Object.assign(trouble, { textContent: TROUBLE, title: said.error, hidden: false });
      refresh();
    },
  },
    h("header", {},
      h("h2", { id: "modal-title" }, plain(view.title.text)),
      h("button", { type: "button", class: "close", "aria-label": "Close", onclick: close }, "✕")),
    h("div", { class: "body" }, trouble, blocks),
    h("footer", {},
      h("button", { type: "button", class: "button", onclick: close }, plain(view.close?.text || (submit ? "Cancel" : "Close"))),
      submit));
  form.noValidate = true;
  dialog.replaceChildren(form);
  dialog.oncancel = (event) => { event.preventDefault(); close(); };
  if (!dialog.open) dialog.showModal();
  const same = place && dialog.querySelector(
    `[data-block-id="${CSS.escape(place)}"] [data-action-id="${CSS.escape(here.dataset.actionId || "")}"]`);
  (same || dialog.querySelector(".body input, .body textarea, .body select"))?.focus();
}
