// Emoji by short name. The ones a release channel uses are drawn here, because a machine without
// an emoji font would show empty boxes for exactly the signs that carry the meaning.
const PLAIN = {
  wave: "👋", busts_in_silhouette: "👥", pray: "🙏",
  raised_hands: "🙌", clap: "👏", thinking_face: "🤔", smile: "😄", slightly_smiling_face: "🙂",
  muscle: "💪", seedling: "🌱", dart: "🎯", scales: "⚖️", wrench: "🔧", gear: "⚙️", bulb: "💡",
  heart: "❤️", star: "⭐", sparkles: "✨", zap: "⚡", bug: "🐛", test_tube: "🧪", scroll: "📜",
};
const box = (fill) => `<rect x="1.5" y="1.5" width="17" height="17" rx="4" fill="${fill}"/>`;
const disc = (fill) => `<circle cx="10" cy="10" r="8.5" fill="${fill}"/>`;
const line = (d, stroke = "#fff", width = 2.4) =>
  `<path d="${d}" fill="none" stroke="${stroke}" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round"/>`;
const TICK = "M5.5 10.5l3 3 6-7";
const DRAWN = {
  white_check_mark: ["✅", box("#2e9e5b") + line(TICK)],
  heavy_check_mark: ["✔", line("M3.5 11l4.5 4.5L16.5 5", "#2e9e5b", 3)],
  ballot_box_with_check: ["☑", box("#3f78c9") + line(TICK)],
  x: ["❌", line("M4.5 4.5l11 11M15.5 4.5l-11 11", "#d9364f", 3.4)],
  warning: ["⚠", '<path d="M10 2.2L18.6 17H1.4z" fill="#f2b01e" stroke="#f2b01e" stroke-width="1.5" stroke-linejoin="round"/>' + line("M10 7.5v4.5M10 14.8v.1", "#3d2c00", 2)],
  rocket: ["🚀", '<path d="M8 14.5L5.5 12C6.5 6.5 10.5 2.5 17 3c.5 6.5-3.5 10.5-9 11.5z" fill="#7f97bd"/><circle cx="12.2" cy="7.8" r="1.9" fill="#fff"/><path d="M5.8 9.2L2.8 10l2.7 2zM10.8 14.2l-.8 3-2-2.7z" fill="#d9364f"/><path d="M5.8 13.6c-1.8.2-2.6 2-2.8 3.6 1.6-.2 3.4-1 3.6-2.8z" fill="#f2902e"/>'],
  lock: ["🔒", line("M6.5 9V6.5a3.5 3.5 0 017 0V9", "#8a94a6", 2.2) + '<rect x="4" y="8.8" width="12" height="9" rx="2" fill="#e0a72e"/>'],
  unlock: ["🔓", line("M6.5 9V6a3.5 3.5 0 016.8-1", "#8a94a6", 2.2) + '<rect x="4" y="8.8" width="12" height="9" rx="2" fill="#e0a72e"/>'],
  key: ["🔑", '<circle cx="6.8" cy="13.2" r="3.6" fill="none" stroke="#e0a72e" stroke-width="2.4"/>' + line("M9.5 10.5L17 3m-3 3l2.5 2.5", "#e0a72e")],
  hourglass_flowing_sand: ["⏳", '<path d="M6 4.5h8L10 10zM7 15.5h6L10 12z" fill="#e0a72e"/>' + line("M5 2.5h10M5 17.5h10M6 2.5v3l4 4.5-4 4.5v3M14 2.5v3L10 10l4 4.5v3", "#a9743a", 1.7)],
  stopwatch: ["⏱", '<circle cx="10" cy="11.5" r="6.5" fill="none" stroke="#7d8798" stroke-width="2"/>' + line("M8 2h4M10 8v3.5l2 1.5", "#7d8798", 2)],
  alarm_clock: ["⏰", '<circle cx="10" cy="11" r="6.5" fill="none" stroke="#d9364f" stroke-width="2"/>' + line("M10 7.5V11l2.3 1.5M3 5l2.5-2M17 5l-2.5-2", "#d9364f", 2)],
  large_green_circle: ["🟢", disc("#2e9e5b")],
  red_circle: ["🔴", disc("#d9364f")],
  large_yellow_circle: ["🟡", disc("#f2b01e")],
  large_orange_circle: ["🟠", disc("#f2902e")],
  large_blue_circle: ["🔵", disc("#3f78c9")],
  white_circle: ["⚪", '<circle cx="10" cy="10" r="7.5" fill="#f3f4f7" stroke="#9aa3b2" stroke-width="1.5"/>'],
  no_entry: ["⛔", disc("#d9364f") + line("M5.5 10h9", "#fff", 3)],
  no_entry_sign: ["🚫", '<circle cx="10" cy="10" r="7.3" fill="none" stroke="#d9364f" stroke-width="2.6"/>' + line("M5 5l10 10", "#d9364f", 2.6)],
  octagonal_sign: ["🛑", '<path d="M6.5 1.5h7l5 5v7l-5 5h-7l-5-5v-7z" fill="#d9364f"/>'],
  rewind: ["⏪", box("#3f78c9") + '<path d="M10 5.5v9L4.5 10zM15.5 5.5v9L10 10z" fill="#fff"/>'],
  leftwards_arrow_with_hook: ["↩", box("#3f78c9") + line("M8.5 5.5L5.5 8.5l3 3M6 8.5h5.5a3 3 0 010 6H9", "#fff", 2)],
  arrows_counterclockwise: ["🔄", box("#3f78c9") + line("M14.5 8A5 5 0 005.5 8.5M5 5.5v3h3M5.5 12a5 5 0 009-.5M15 14.5v-3h-3", "#fff", 1.8)],
  double_vertical_bar: ["⏸", box("#3f78c9") + line("M7.5 6.5v7M12.5 6.5v7", "#fff", 2.4)],
  information_source: ["ℹ", box("#3f78c9") + line("M10 9v5.5M10 5.7v.1", "#fff", 2.3)],
  question: ["❓", line("M6.5 6.5a3.5 3.5 0 117 .3c0 2.5-3.5 2.7-3.5 5.2M10 16.2v.1", "#d9364f", 2.6)],
  exclamation: ["❗", line("M10 3v9M10 16.5v.1", "#d9364f", 3)],
  rotating_light: ["🚨", '<path d="M5 15v-4a5 5 0 0110 0v4z" fill="#d9364f"/><rect x="3.5" y="15" width="13" height="3" rx="1" fill="#7d8798"/>' + line("M10 1.5v1.5M3.5 4l1 1M16.5 4l-1 1", "#f2902e", 1.8)],
  bell: ["🔔", '<path d="M4 14.5c1.3-1.2 1.5-3 1.5-5.5a4.5 4.5 0 019 0c0 2.5.2 4.3 1.5 5.5z" fill="#f2b01e"/><path d="M8 15.8a2 2 0 004 0z" fill="#a9743a"/>'],
  package: ["📦", '<path d="M2.5 6L10 2.5 17.5 6v8.5L10 18l-7.5-3.5z" fill="#c89257"/><path d="M2.5 6L10 9.5 17.5 6M10 9.5V18" fill="none" stroke="#8c5f2e" stroke-width="1.3"/>'],
  shield: ["🛡", '<path d="M10 1.8l7 2.5v5c0 4.5-3 7.5-7 9-4-1.5-7-4.5-7-9v-5z" fill="#6f86b5"/>' + line("M6.8 10l2.3 2.3L13.5 7.5", "#fff", 2)],
  snowflake: ["❄", line("M10 2v16M3 6l14 8M17 6L3 14M7.5 3.5L10 6l2.5-2.5M7.5 16.5L10 14l2.5 2.5", "#4aa8df", 1.6)],
  bar_chart: ["📊", '<rect x="2.5" y="9" width="4" height="9" rx="1" fill="#2e9e5b"/><rect x="8" y="3" width="4" height="15" rx="1" fill="#3f78c9"/><rect x="13.5" y="6" width="4" height="12" rx="1" fill="#d9364f"/>'],
  chart_with_upwards_trend: ["📈", line("M2.5 2.5v15h15", "#7d8798", 1.6) + line("M5 13l4-4 3 2 5-6", "#d9364f", 2.2)],
  mag: ["🔍", '<circle cx="8.5" cy="8.5" r="5.5" fill="none" stroke="#7d8798" stroke-width="2.2"/>' + line("M13 13l4.5 4.5", "#7d8798", 2.8)],
  memo: ["📝", '<rect x="3.5" y="2" width="11" height="16" rx="1.5" fill="#e6e9f0" stroke="#9aa3b2"/>' + line("M6 6h6M6 9h6M6 12h3", "#7d8798", 1.3) + line("M11 15.5L17 8", "#f2902e", 2.2)],
  link: ["🔗", line("M8.5 11.5a3.2 3.2 0 004.6 0l3-3a3.2 3.2 0 00-4.6-4.6l-1 1M11.5 8.5a3.2 3.2 0 00-4.6 0l-3 3a3.2 3.2 0 004.6 4.6l1-1", "#7d8798", 2)],
  speech_balloon: ["💬", '<path d="M3 3.5h14a1.5 1.5 0 011.5 1.5v7.5A1.5 1.5 0 0117 14H9l-4 4v-4H3a1.5 1.5 0 01-1.5-1.5V5A1.5 1.5 0 013 3.5z" fill="#8fa3c4"/>'],
  calendar: ["📅", '<rect x="2.5" y="3.5" width="15" height="14.5" rx="2" fill="#e6e9f0" stroke="#9aa3b2"/><path d="M2.5 8V5.5a2 2 0 012-2h11a2 2 0 012 2V8z" fill="#d9364f"/>'],
  eyes: ["👀", '<ellipse cx="6" cy="10" rx="4" ry="6" fill="#f3f4f7" stroke="#7d8798"/><ellipse cx="14" cy="10" rx="4" ry="6" fill="#f3f4f7" stroke="#7d8798"/><circle cx="4.6" cy="11" r="2.1" fill="#2b303a"/><circle cx="12.6" cy="11" r="2.1" fill="#2b303a"/>'],
  tada: ["🎉", '<path d="M2 18L7 6.5l6.5 6.5z" fill="#f2b01e"/>' + line("M10.5 7.5c1.5-1 1.5-3 .5-4.5M12.5 9.5c1-1.5 3-2 5-1.5", "#3f78c9", 1.6) + '<circle cx="15" cy="4" r="1.2" fill="#d9364f"/><circle cx="7.5" cy="3" r="1.1" fill="#2e9e5b"/><circle cx="16.5" cy="12.5" r="1.2" fill="#2e9e5b"/>'],
  "+1": ["👍", '<path d="M2.5 9h3v8.5h-3zM6.8 9.2L10 2.5c1.8 0 2.4 1.4 2 3L11.5 8h5c1 0 1.7 1 1.4 2l-1.7 6c-.3 1-1 1.5-2 1.5H9c-1 0-1.6-.3-2.2-.8z" fill="#f2b01e"/>'],
  "-1": ["👎", '<path d="M2.5 11h3V2.5h-3zM6.8 10.8L10 17.5c1.8 0 2.4-1.4 2-3l-.5-2.5h5c1 0 1.7-1 1.4-2l-1.7-6c-.3-1-1-1.5-2-1.5H9c-1 0-1.6.3-2.2.8z" fill="#f2b01e"/>'],
  robot_face: ["🤖", '<rect x="3" y="6" width="14" height="11" rx="2.5" fill="#8fa3c4"/><circle cx="7.2" cy="10.5" r="1.7" fill="#fff"/><circle cx="12.8" cy="10.5" r="1.7" fill="#fff"/>' + line("M7 14h6", "#fff", 1.6) + line("M10 6V3.5", "#7d8798", 1.6) + '<circle cx="10" cy="2.5" r="1.4" fill="#d9364f"/>'],
  bust_in_silhouette: ["👤", '<circle cx="10" cy="6.5" r="4" fill="#7d8798"/><path d="M2.5 18c0-4.5 3-7 7.5-7s7.5 2.5 7.5 7z" fill="#7d8798"/>'],
  fire: ["🔥", '<path d="M10 1.5c1 3.5 5.5 5.5 5.5 10.5a5.5 5.5 0 01-11 0c0-2.5 1.3-4 2.5-5.5.3 1.5 1 2.3 1.8 2.7C8.5 6.5 9 4 10 1.5z" fill="#f2702e"/><path d="M10 10c.6 1.5 2.5 2.3 2.5 4.5a2.5 2.5 0 01-5 0c0-2 1.8-2.8 2.5-4.5z" fill="#f8cf52"/>'],
  arrow_right: ["➡", box("#3f78c9") + line("M5 10h9.5M11 6l4 4-4 4", "#fff", 2)],
  arrow_up: ["⬆", box("#3f78c9") + line("M10 15V5.5M6 9l4-4 4 4", "#fff", 2)],
  arrow_down: ["⬇", box("#3f78c9") + line("M10 5v9.5M6 11l4 4 4-4", "#fff", 2)],
};
const ALIASES = {
  thumbsup: "+1", thumbsdown: "-1",
  hourglass: "hourglass_flowing_sand", heavy_multiplication_x: "x", pause_button: "double_vertical_bar",
  back: "leftwards_arrow_with_hook", repeat: "arrows_counterclockwise", closed_lock_with_key: "lock",
  date: "calendar", heavy_exclamation_mark: "exclamation", green_circle: "large_green_circle",
  yellow_circle: "large_yellow_circle", blue_circle: "large_blue_circle", clock1: "stopwatch",
  traffic_light: "large_orange_circle", pencil: "memo", information: "information_source",
  mag_right: "mag", timer_clock: "stopwatch", crossed_swords: "x", stop_sign: "octagonal_sign",
};
const BY_SIGN = new Map(Object.entries(DRAWN).map(([name, [sign]]) => [sign, name]));

function drawn(name) {
  const [sign, shape] = DRAWN[name];
  const source = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20">${shape}</svg>`;
  const svg = document.importNode(
    new DOMParser().parseFromString(source, "image/svg+xml").documentElement, true);
  svg.setAttribute("class", "emoji");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", name.replaceAll("_", " "));
  svg.dataset.emoji = sign;
  return svg;
}

// The node for `:name:`, or null when the name is not known.
export function emoji(name) {
  const real = ALIASES[name] || name;
  if (Object.hasOwn(DRAWN, real)) return drawn(real);
  return Object.hasOwn(PLAIN, real) ? document.createTextNode(PLAIN[real]) : null;
}

// Text whose emoji characters are drawn where we can draw them.
export function withEmoji(text) {
  const nodes = [];
  let from = 0;
  for (const hit of text.matchAll(/(\p{Extended_Pictographic})\uFE0F?/gu)) {
    const name = BY_SIGN.get(hit[1]);
    if (!name) continue;
    nodes.push(text.slice(from, hit.index), drawn(name));
    from = hit.index + hit[0].length;
  }
  nodes.push(text.slice(from));
  return nodes.filter((n) => n !== "");
}
