// Block Kit to DOM nodes. `ctx.press(element, block, value, anchor)` tells the stand-in;
// `ctx.inputs` (a modal's or Home's) collects what can be read.
import { h, safeUrl } from "./dom.js";
import { emoji } from "./emoji.js";
import { INPUTS, button, input, overflow } from "./inputs.js";
import { mrkdwn, names, plain, textObject } from "./mrkdwn.js";

function element(el, block, ctx) {
  const press = (value) => (event) => ctx.press(el, block, value, event?.currentTarget);
  if (el.type === "button" || el.type === "workflow_button") return button(el, press(undefined));
  if (el.type === "overflow") return overflow(el, (value) => ctx.press(el, block, value));
  if (el.type === "image") return picture(el, "thumb");
  if (INPUTS.has(el.type)) {
    const made = input(el, {
      value: ctx.held?.(block, el),
      changed: (value) => ctx.press(el, block, value, made.node),
      suggest: (text) => ctx.suggest?.(el, block, text),
    });
    ctx.inputs?.push({ block, el, read: made.read });
    return made.node;
  }
  return unknown(el.type);
}

const unknown = (type) => h("span", { class: "unknown" }, `[${type}: not drawn by this stand-in]`);

function picture(image, kind) {
  const url = safeUrl(image.image_url);
  const alt = image.alt_text || "";
  if (!url) return h("span", { class: "unknown" }, alt || "image");
  const node = h("img", { src: url, alt, class: kind, loading: "lazy" });
  node.addEventListener("error", () => node.replaceWith(h("span", { class: "unknown" }, alt || "image")));
  return node;
}

const LEAF = {
  text: (e) => plain(e.text),
  link: (e) => (safeUrl(e.url)
    ? [h("a", { href: e.url, target: "_blank", rel: "noopener noreferrer" }, e.text || e.url)] : [e.text || e.url]),
  user: (e) => [h("span", { class: "mention" }, "@" + (names.users.get(e.user_id) || e.user_id))],
  channel: (e) => [h("span", { class: "mention" }, "#" + (names.channels.get(e.channel_id) || e.channel_id))],
  broadcast: (e) => [h("span", { class: "mention" }, "@" + e.range)],
  emoji: (e) => [emoji(e.name) || `:${e.name}:`],
  date: (e) => [new Date(e.timestamp * 1000).toLocaleString("en")],
};

function leaf(e) {
  let nodes = LEAF[e.type]?.(e) || [e.text || ""];
  for (const [style, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"]]) {
    if (e.style?.[style]) nodes = [h(tag, {}, nodes)];
  }
  return nodes;
}

function rich(part) {
  const inside = () => (part.elements || []).map(leaf);
  if (part.type === "rich_text_list") {
    return h(part.style === "ordered" ? "ol" : "ul", {}, part.elements.map((e) => h("li", {}, e.elements.map(leaf))));
  }
  if (part.type === "rich_text_quote") return h("blockquote", {}, inside());
  if (part.type === "rich_text_preformatted") return h("pre", {}, inside());
  return h("div", {}, inside());
}

// Standard Markdown's few signs that the `markdown` block adds, turned into mrkdwn's.
const fromMarkdown = (text) => text
  .replaceAll("&", "&amp;").replaceAll("<", "&lt;")
  .replace(/\[([^\]]+)\]\((\S+?)\)/g, "<$2|$1>")
  .replace(/^#{1,6} (.*)$/gm, "*$1*").replace(/\*\*(.+?)\*\*/g, "*$1*").replace(/^[-*] /gm, "• ");

const cell = (c) => (c.type === "rich_text" ? (c.elements || []).map(rich) : [String(c.text ?? c.value ?? "")]);

const BLOCKS = {
  header: (b) => h("h3", {}, plain(b.text.text)),
  divider: () => h("hr"),
  context: (b) => h("div", { class: "context" }, b.elements.map((e) =>
    e.type === "image" ? picture(e, "tiny") : textObject(e))),
  section: (b, ctx) => h("div", { class: "section" },
    h("div", { class: "words" },
      b.text && textObject(b.text),
      b.fields && h("div", { class: "fields" }, b.fields.map(textObject))),
    b.accessory && h("div", { class: "accessory" }, element(b.accessory, b, ctx))),
  actions: (b, ctx) => h("div", { class: "actions" }, b.elements.map((e) => element(e, b, ctx))),
  image: (b) => h("figure", {}, b.title && h("figcaption", {}, plain(b.title.text)), picture(b, "full")),
  rich_text: (b) => h("div", { class: "text rich" }, b.elements.map(rich)),
  markdown: (b) => mrkdwn(fromMarkdown(b.text)),
  alert: (b) => h("div", { class: `alert ${b.level || "default"}`, role: "note" }, textObject(b.text)),
  table: (b) => h("div", { class: "wide-table" }, h("table", {}, b.rows.map((row, i) =>
    h("tr", {}, row.map((c) => h(i ? "td" : "th", {}, cell(c))))))),
  input: (b, ctx) => {
    const hint = `hint-${b.block_id}`;
    const wrong = `wrong-${b.block_id}`;
    const made = input(b.element, {
      value: ctx.held?.(b, b.element), label: b.label.text, describedby: `${hint} ${wrong}`,
      suggest: (text) => ctx.suggest?.(b.element, b, text),
      changed: b.dispatch_action ? (value) => ctx.press(b.element, b, value, made.node) : undefined,
    });
    ctx.inputs?.push({ block: b, el: b.element, read: made.read });
    return h("div", { class: "input" },
      h("label", { for: made.id }, plain(b.label.text), b.optional && h("span", { class: "optional" }, " (optional)")),
      made.node,
      h("p", { class: "hint", id: hint }, b.hint ? plain(b.hint.text) : ""),
      h("p", { class: "wrong", id: wrong, role: "alert" }));
  },
};

export function renderBlocks(blocks, ctx) {
  return blocks.map((block) => {
    const node = h("div", { class: `block ${block.type}-block`, "data-block-id": block.block_id });
    node.append((BLOCKS[block.type] || (() => unknown(block.type)))(block, ctx));
    return node;
  });
}

const BARS = { good: "#2e9e5b", warning: "#f2b01e", danger: "#d9364f" };

export function renderAttachment(a, ctx) {
  const node = h("div", { class: "attachment" });
  const color = BARS[a.color] || (/^#?[0-9a-f]{6}$/i.test(a.color || "") ? "#" + a.color.replace("#", "") : "");
  if (color) node.style.setProperty("--bar", color);
  if (a.pretext) node.append(mrkdwn(a.pretext));
  if (a.author_name) node.append(h("p", { class: "author" }, a.author_name));
  if (a.title) {
    const url = safeUrl(a.title_link);
    node.append(h("p", { class: "title" }, url ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, a.title) : a.title));
  }
  if (a.text) node.append(mrkdwn(a.text));
  if (a.fields) {
    node.append(h("div", { class: "fields" }, a.fields.map((f) =>
      h("div", { class: f.short ? "" : "long" }, h("strong", {}, f.title), mrkdwn(f.value)))));
  }
  if (a.blocks) node.append(...renderBlocks(a.blocks, ctx));
  if (!a.blocks && !a.text && a.fallback) node.append(mrkdwn(a.fallback));
  if (a.footer) node.append(h("p", { class: "footer" }, a.footer));
  return node;
}
