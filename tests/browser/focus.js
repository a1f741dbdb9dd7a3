// What has the focus now: its name, whether it is drawn, and which element before it looked the same with the focus
// as without it.
() => {
  const NAMES = ["outlineStyle", "outlineWidth", "boxShadow", "stroke", "strokeWidth", "borderColor",
    "backgroundColor", "top"];
  const looks = (each) => {
    const around = [each, each.nextElementSibling, ...each.querySelectorAll("*")].filter(Boolean).slice(0, 8);
    return JSON.stringify(around.map((one) => {
      const style = getComputedStyle(one);
      return NAMES.map((name) => style[name]);
    }));
  };
  const at = document.activeElement;
  const last = window.lastStop;
  const left = last && last.element.isConnected && last.element !== at;
  const unseen = left && looks(last.element) === last.looks ? last.html : "";
  if (!at || at === document.body) {
    window.lastStop = null;
    return { over: true, unseen, name: "" };
  }
  const words = (id) => document.getElementById(id)?.textContent || "";
  const name = at.getAttribute("aria-label") ||
    (at.getAttribute("aria-labelledby") || "").split(" ").map(words).join(" ").trim() ||
    [...(at.labels || [])].map((each) => each.textContent).join(" ") || at.textContent || at.title || "";
  const html = at.outerHTML.slice(0, 160);
  // A date's parts are stops of their own in one element.
  window.lastStop = { element: at, looks: last?.element === at ? last.looks : looks(at), html };
  const box = at.getBoundingClientRect();
  return { over: false, unseen, name: name.replace(/\s+/g, " ").trim(), html, drawn: box.width > 0 && box.height > 0 };
}
