// One message: who, when, what, its thread, and the answer of the app when it does not come.
import { h } from "./dom.js";
import { emoji } from "./emoji.js";
import { renderAttachment, renderBlocks } from "./blocks.js";
import { mrkdwn } from "./mrkdwn.js";

const HUES = [212, 152, 28, 268, 340, 190, 82];

export function avatar(who, app) {
  const node = h("span", { class: app ? "avatar app" : "avatar", "aria-hidden": "true" },
    app ? "" : who.real_name.replace(/\(.*/, "").split(" ").map((w) => w[0]).join("").slice(0, 2));
  node.style.setProperty("--hue", HUES[who.order % HUES.length] ?? 220);
  return node;
}

export function clock(ts) {
  const when = new Date(Number(ts) * 1000);
  const text = when.toLocaleTimeString("en", { hour: "numeric", minute: "2-digit" });
  return h("time", { datetime: when.toISOString(), title: when.toLocaleString("en") }, text);
}

export function dayOf(ts) {
  const when = new Date(Number(ts) * 1000);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(when).setHours(0, 0, 0, 0)) / 864e5);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return when.toLocaleDateString("en", { weekday: "long", month: "long", day: "numeric" });
}

export function body(message, press) {
  const ctx = {
    press: (el, block, value, anchor) => press(
      { ts: message.ts, channel: message.channel }, el, block, value, anchor),
  };
  const blocks = message.blocks?.length ? renderBlocks(message.blocks, ctx) : message.text ? [mrkdwn(message.text)] : [];
  const attachments = (message.attachments || []).map((a) => renderAttachment(a, ctx));
  return h("div", { class: "content" }, blocks, attachments);
}

export function reactions(message) {
  if (!message.reactions?.length) return null;
  return h("div", { class: "reactions" }, message.reactions.map((r) =>
    h("span", { class: "reaction" }, emoji(r.name) || `:${r.name}:`, ` ${r.count}`)));
}

export function head(who, message) {
  return h("p", { class: "head" },
    h("strong", {}, who.real_name),
    message.bot_id && h("span", { class: "badge" }, "APP"),
    who.foreign && h("span", { class: "badge" }, "EXTERNAL"),
    clock(message.ts),
    message.edited && h("span", { class: "edited", title: "This message was edited" }, "(edited)"));
}
