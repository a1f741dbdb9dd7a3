// The page: who you are, which channel you look at, and everything that keeps it up to date.
import { h, post, sync } from "./dom.js";
import { avatar, body, dayOf, head, reactions } from "./messages.js";
import { confirmed, drawView, showModals } from "./modal.js";
import { names } from "./mrkdwn.js";

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const cookie = document.cookie.match(/(?:^|; )as=(\w+)/)?.[1];
const world = await (await fetch("/_page/world")).json();
const people = world.people.map((p, order) => ({ ...p, order }));
const users = new Map(people.map((p) => [p.id, p]));
users.set(world.app.id, { id: world.app.id, real_name: world.app.name, order: 0 });
const me = people.find((p) => p.name === query.get("as")) || people.find((p) => p.name === cookie) || people[0];
// A second workspace is there once the app is installed in it; everybody sees their own.
const channels = world.channels.filter((c) => c.team === me.workspace);
document.querySelector(".workspace").textContent = world.workspaces[me.workspace];
document.cookie = `as=${me.name}; path=/; SameSite=Lax`;
for (const p of users.values()) names.users.set(p.id, p.real_name);
for (const c of world.channels) names.channels.set(c.id, c.name);

const places = [
  ...channels.map((c) => ({ id: c.id, group: "Channels", title: `# ${c.name}`, topic: c.topic })),
  { id: "home", group: "Apps", title: world.app.name, topic: "", app: true },
  { id: me.im, title: world.app.name, topic: "", app: true, tab: true },
];
const view = { place: places.find((p) => p.id === query.get("channel")) || places[0], revision: null, state: null };
const open = new Set();      // threads that are unfolded
const notices = [];          // what only this page says, such as a command that failed
let wake = () => {};
const refresh = () => wake();

// -- the frame --------------------------------------------------------------------------------

function link(place) {
  return `/?as=${me.name}&channel=${place.id}`;
}

function go(event, place) {
  event.preventDefault();
  history.pushState(null, "", link(place));
  enter(place);
}

function enter(place) {
  view.place = place;
  view.revision = null;
  $("title").textContent = place.title;
  $("topic").textContent = place.topic;
  $("log").replaceChildren();
  const app = Boolean(place.app);
  $("tabs").hidden = !app;
  const home = place.id === "home";
  $("home").hidden = !home;
  $("log").hidden = $("composer").hidden = home;
  $("text").placeholder = `Message ${app ? world.app.name : place.title.replace("# ", "#")}`;
  $("tabs").replaceChildren(...(app ? places.filter((p) => p.app).map((p) =>
    h("a", { href: link(p), "aria-current": p === place ? "page" : null, onclick: (e) => go(e, p) },
      p.id === "home" ? "Home" : "Messages")) : []));
  document.title = `${place.title} · Slack stand-in`;
  if (home) post("/_sandbox/home", { user: me.name });
  $("scroll").scrollTop = 0;
  refresh();
}

function frame() {
  $("people").append(...people.map((p) =>
    h("a", {
      href: `/?as=${p.name}&channel=${view.place.id.startsWith("C") ? view.place.id : channels[0].id}`,
      class: "person", "aria-current": p === me ? "true" : null, title: `${p.real_name}, ${p.role}`,
    }, avatar(p), h("span", {}, h("b", {}, p.real_name.split(" ")[0]), h("small", {}, p.role)))));
  $("people").querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
  addEventListener("popstate", () => {
    const id = new URLSearchParams(location.search).get("channel");
    enter(places.find((p) => p.id === id) || places[0]);
  });
}

function drawChannels(latest) {
  const seen = (id) => localStorage.getItem(`seen:${me.name}:${id}`) || "0";
  const where = view.place.id === "home" ? "" : view.place.id;
  if (where && latest[where]) localStorage.setItem(`seen:${me.name}:${where}`, latest[where]);
  const groups = ["Channels", "Apps"];
  $("channels").replaceChildren(...groups.flatMap((group) => [
    h("p", { class: "group" }, group),
    ...places.filter((p) => p.group === group).map((p) => {
      const id = p.id === "home" ? me.im : p.id;
      const here = view.place === p || (view.place.app && p.app);
      const fresh = !here && latest[id] && latest[id] > seen(id);
      return h("a", {
        href: link(p), class: fresh ? "fresh" : "", "aria-current": here ? "page" : null, onclick: (e) => go(e, p),
      }, p.app && h("span", { class: "avatar app mini", "aria-hidden": "true" }), p.title,
        fresh && h("span", { class: "dot", title: "Unread" }, h("span", { class: "hidden" }, "unread")));
    }),
  ]));
}

// -- pressing things --------------------------------------------------------------------------

async function press(target, element, block, value, anchor) {
  if (anchor?.getAttribute?.("aria-busy") === "true") return;
  if (!(await confirmed(element.confirm))) return;
  const place = document.querySelector(`[data-block-id="${CSS.escape(block.block_id)}"]`);
  place?.querySelector(".notice")?.remove();
  anchor?.setAttribute?.("aria-busy", "true");
  const said = await post("/_sandbox/press", {
    user: me.name, ...target, block_id: block.block_id, action_id: element.action_id, value });
  anchor?.removeAttribute?.("aria-busy");
  refresh();
  if (said.error) {
    const text = said.notice || "This message has changed. Please look again.";
    const now = document.querySelector(`[data-block-id="${CSS.escape(block.block_id)}"]`) || place;
    now?.append(h("p", { class: "notice", role: "alert", title: said.error }, text));
  }
}

// -- messages ---------------------------------------------------------------------------------

function row(item) {
  const { message } = item;
  const who = users.get(message.user) || { real_name: message.user, order: 0 };
  const isPrivate = Boolean(message.is_ephemeral);
  const node = h("article", {
    class: isPrivate ? "message private" : "message", "data-message-ts": message.ts,
    "data-ephemeral": isPrivate ? "true" : null, "aria-label": `${who.real_name}: ${message.text || "message"}`,
  },
    avatar(who, Boolean(message.bot_id)),
    h("div", { class: "main" },
      isPrivate && h("p", { class: "only" }, "Only visible to you"),
      head(who, message),
      body(message, press),
      reactions(message),
      item.replies && thread(item)));
  if (!isPrivate && item.replies && !item.replies.length && !item.open) {
    node.append(h("button", {
      type: "button", class: "reply", onclick: () => { open.add(message.ts); draw(); },
    }, "Reply"));
  }
  return node;
}

function thread(item) {
  const { message, replies } = item;
  if (!replies.length && !item.open) return null;
  const count = replies.length === 1 ? "1 reply" : `${replies.length} replies`;
  const toggle = h("button", {
    type: "button", class: "toggle", "aria-expanded": String(item.open),
    onclick: () => { item.open ? open.delete(message.ts) : open.add(message.ts); draw(); },
  }, item.open ? `Hide ${replies.length ? count : "thread"}` : count);
  if (!item.open) return toggle;
  const text = h("input", { type: "text", "aria-label": "Reply in thread", placeholder: "Reply…", value: item.draft });
  const form = h("form", {
    class: "answer",
    onsubmit: async (event) => {
      event.preventDefault();
      if (!text.value.trim()) return;
      await post("/_sandbox/write", { user: me.name, channel: view.place.id, text: text.value, thread_ts: message.ts });
      text.value = "";
      refresh();
    },
  }, text, h("button", { class: "button" }, "Reply"));
  return h("div", { class: "thread" }, toggle, replies.map((m) => row({ message: m })), form);
}

function items() {
  const { messages, private: own } = view.state;
  const here = (m) => ({ ...m, channel: view.place.id });
  const isReply = (m) => m.thread_ts && m.thread_ts !== m.ts;
  const shown = [...messages.filter((m) => !isReply(m) || m.subtype), ...own, ...notices.filter((n) => n.place === view.place.id)];
  shown.sort((a, b) => (a.ts < b.ts ? -1 : 1));
  let day = "";
  return shown.flatMap((m) => {
    const replies = m.is_ephemeral ? null : messages.filter((r) => isReply(r) && r.thread_ts === m.ts).map(here);
    const item = { key: m.ts, message: here(m), replies, open: open.has(m.ts) };
    const next = dayOf(m.ts);
    const label = next === day ? [] : [{ key: `day ${next}`, day: next }];
    day = next;
    return [...label, item];
  });
}

function draw() {
  const scroll = $("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  const first = !$("log").firstElementChild;
  const list = items();
  sync($("log"), list, (item, before) => {
    if (item.day) return h("p", { class: "day" }, h("span", {}, item.day));
    const draft = before?.querySelector(".answer input");
    const focused = draft && draft === document.activeElement;
    const node = row({ ...item, draft: draft?.value });
    for (const notice of before?.querySelectorAll(".notice") || []) {
      const id = notice.closest("[data-block-id]").dataset.blockId;
      node.querySelector(`[data-block-id="${CSS.escape(id)}"]`)?.append(notice);
    }
    if (focused) setTimeout(() => node.querySelector(".answer input")?.focus());
    return node;
  });
  if (!list.length) $("log").append(h("p", { class: "empty", "data-key": "empty" }, "No messages yet."));
  const wanted = first && query.get("ts") && document.querySelector(`[data-message-ts="${CSS.escape(query.get("ts"))}"]`);
  if (wanted) {
    wanted.classList.add("wanted");
    wanted.scrollIntoView({ block: "center" });
  } else if (atEnd || first) scroll.scrollTop = scroll.scrollHeight;
}

function drawHome(home) {
  const box = $("home");
  const shown = home ? `${home.id} ${home.hash}` : "none";
  if (box.shown === shown) return;
  box.shown = shown;
  if (home) box.dataset.viewId = home.id;
  box.replaceChildren(...(home ? drawView(box, home, me.name, press)
    : [h("p", { class: "empty" }, `${world.app.name} has not published a Home view for you yet.`)]));
}

// -- writing ----------------------------------------------------------------------------------

function grow() {
  const box = $("text");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
}

async function send(event) {
  event?.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  grow();
  const channel = view.place.id;
  if (!text.startsWith("/")) {
    await post("/_sandbox/write", { user: me.name, channel, text });
    return refresh();
  }
  const [command, rest] = text.split(/\s+(.*)/s);
  const said = await post("/_sandbox/command", { user: me.name, channel, command, text: rest || "" });
  const failed = said.notice || (said.error ? `${command} failed with the error “${said.error}”.` : "");
  if (failed) notice(failed);
  return refresh();
}

function notice(text) {
  notices.push({
    ts: (Date.now() / 1000).toFixed(6), user: world.app.id, is_ephemeral: true, text, place: view.place.id });
  view.revision = null;
}

// The app's global shortcuts, which belong to no channel.
function drawShortcuts() {
  const box = $("shortcuts");
  box.hidden = !world.shortcuts.length;
  box.querySelector(".menu").replaceChildren(...world.shortcuts.map((each) =>
    h("button", {
      type: "button", "data-callback-id": each.callback_id,
      onclick: async () => {
        box.open = false;
        const said = await post("/_sandbox/shortcut", { user: me.name, callback_id: each.callback_id });
        if (said.error) notice(`“${each.name}” failed. ${said.notice || said.error}`);
        refresh();
      },
    }, h("b", {}, each.name), h("small", {}, world.app.name))));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { box.open = false; box.querySelector("summary").focus(); }
  });
  document.addEventListener("click", (event) => { if (!box.contains(event.target)) box.open = false; });
}

// -- staying up to date -----------------------------------------------------------------------

async function once() {
  const place = view.place;
  const home = place.id === "home";
  const args = new URLSearchParams({ as: me.name, channel: home ? me.im : place.id, since: world.since });
  if (view.revision) args.set("revision", view.revision);
  const answer = await fetch(`/_page/state?${args}`);
  if (place !== view.place) return;
  if (answer.status === 200) {
    view.state = await answer.json();
    if (place !== view.place) return;
    view.revision = view.state.revision;
    drawChannels(view.state.latest);
    drawHome(view.state.home);
    showModals(view.state.modals, me.name, press, refresh);
    if (!home) draw();
  }
}

async function live() {
  for (;;) {
    let woken = false;
    const rest = new Promise((resolve) => { wake = () => { woken = true; resolve(); }; });
    try {
      await once();
      $("offline").hidden = true;
    } catch (error) {
      if (!(error instanceof TypeError)) console.error(error);
      $("offline").hidden = false;
      view.revision = null;
    }
    if (!woken) await Promise.race([rest, new Promise((resolve) => setTimeout(resolve, 600))]);
  }
}

$("composer").addEventListener("submit", send);
$("text").addEventListener("input", grow);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
frame();
drawShortcuts();
enter(view.place);
live();
