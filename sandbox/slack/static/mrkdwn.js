// Slack's mrkdwn to DOM nodes.
import { h, safeUrl } from "./dom.js";
import { emoji, withEmoji } from "./emoji.js";

export const names = { users: new Map(), channels: new Map() };

export const unescape = (text) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const span = (mark) => {
  const m = `\\${mark}`;
  return `(?<![\\w${m}])${m}(?!\\s)((?:<[^<>]*>|\`[^\`\\n]*\`|[^${m}\\n])+?)(?<!\\s)${m}(?![\\w${m}])`;
};
const TOKEN = new RegExp(
  `<([^<>\\n]+)>|\`([^\`\\n]+)\`|${span("*")}|${span("_")}|${span("~")}|:([a-z0-9_+'-]+):`, "g");
const TAGS = [null, null, null, "strong", "em", "s"];

// One run of mrkdwn text, without code blocks and quotes.
function inline(text) {
  const nodes = [];
  let from = 0;
  for (const hit of text.matchAll(TOKEN)) {
    const made = piece(hit);
    if (made === null) continue;
    nodes.push(...withEmoji(unescape(text.slice(from, hit.index))), made);
    from = hit.index + hit[0].length;
  }
  nodes.push(...withEmoji(unescape(text.slice(from))));
  return nodes;
}

function piece(hit) {
  if (hit[1]) return reference(hit[1]);
  if (hit[2]) return h("code", {}, unescape(hit[2]));
  for (const n of [3, 4, 5]) if (hit[n]) return h(TAGS[n], {}, inline(hit[n]));
  return emoji(hit[6]);
}

// What stands between < and >: a mention, a channel, a date or a link.
function reference(inside) {
  const [target, label] = inside.split(/\|(.*)/s);
  const mention = (name) => h("span", { class: "mention" }, name);
  if (target.startsWith("@")) return mention("@" + (names.users.get(target.slice(1)) || label || target.slice(1)));
  if (target.startsWith("#")) return mention("#" + (names.channels.get(target.slice(1)) || label || target.slice(1)));
  if (target.startsWith("!date^")) return date(target, label);
  if (target.startsWith("!subteam^")) return mention(label || "@group");
  if (target.startsWith("!")) return mention("@" + target.slice(1));
  const url = safeUrl(unescape(target));
  const shown = label ? inline(label) : unescape(target.replace(/^mailto:/, ""));
  return url ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, shown) : h("span", {}, shown);
}

const DATES = {
  date_num: (d) => d.toISOString().slice(0, 10),
  date: (d) => d.toLocaleDateString("en", { dateStyle: "long" }),
  date_short: (d) => d.toLocaleDateString("en", { dateStyle: "medium" }),
  date_long: (d) => d.toLocaleDateString("en", { dateStyle: "full" }),
  time: (d) => d.toLocaleTimeString("en", { hour: "numeric", minute: "2-digit" }),
  time_secs: (d) => d.toLocaleTimeString("en", { timeStyle: "medium" }),
  ago: (d) => ago(d),
};

function ago(date) {
  const seconds = Math.round((date - Date.now()) / 1000);
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]
    .find(([s]) => Math.abs(seconds) >= s) || [1, "second"];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

function pretty(date, other) {
  const days = Math.round((new Date(date).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 864e5);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] || other(date);
}

function date(target, fallback) {
  const [, seconds, format = "", link] = target.split("^");
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime())) return h("span", {}, unescape(fallback || ""));
  const text = format.replace(/\{(\w+)\}/g, (whole, name) => {
    const base = name.replace("_pretty", "");
    if (!DATES[base]) return whole;
    return base === name ? DATES[base](when) : pretty(when, DATES[base]);
  });
  const node = h("time", { datetime: when.toISOString(), title: when.toLocaleString("en") }, text);
  return safeUrl(link) ? h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, node) : node;
}

// A whole mrkdwn text: code blocks, quotes and lines.
export function mrkdwn(text) {
  const box = h("div", { class: "text" });
  for (const [index, part] of String(text ?? "").split(/```\n?([\s\S]*?)```\n?/).entries()) {
    if (index % 2) {
      box.append(h("pre", {}, unescape(part.replace(/\n$/, ""))));
      continue;
    }
    let quote = [];
    let lines = [];
    const flush = () => {
      if (lines.length) box.append(h("div", {}, inline(lines.join("\n"))));
      if (quote.length) box.append(h("blockquote", {}, inline(quote.join("\n"))));
      lines = [];
      quote = [];
    };
    for (const line of part === "" ? [] : part.split("\n")) {
      const cited = line.match(/^(?:>|&gt;) ?(.*)$/);
      if (cited ? lines.length : quote.length) flush();
      (cited ? quote : lines).push(cited ? cited[1] : line);
    }
    flush();
  }
  return box;
}

// A text object: mrkdwn, or plain text with its emoji.
export function textObject(object) {
  if (typeof object === "string") return mrkdwn(object);
  if (object?.type === "mrkdwn") return mrkdwn(object.text);
  return h("div", { class: "text" }, plain(object?.text || ""));
}

export function plain(text) {
  const nodes = [];
  let from = 0;
  for (const hit of text.matchAll(/:([a-z0-9_+'-]+):/g)) {
    const made = emoji(hit[1]);
    if (!made) continue;
    nodes.push(...withEmoji(text.slice(from, hit.index)), made);
    from = hit.index + hit[0].length;
  }
  return [...nodes, ...withEmoji(text.slice(from))];
}
