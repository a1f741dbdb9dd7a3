// Building nodes. Text is always a text node: nothing that comes from a message is ever HTML.

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c !== undefined && c !== null && c !== false));
  return node;
}

// Make `box` show `items` in order. Nodes whose item did not change stay as they are, with their
// focus, their half-typed text and their open parts.
export function sync(box, items, render) {
  const old = new Map([...box.children].map((node) => [node.dataset.key, node]));
  let place = box.firstElementChild;
  for (const item of items) {
    const print = JSON.stringify(item);
    const before = old.get(item.key);
    old.delete(item.key);
    let node = before;
    if (!before || before.print !== print) {
      const focused = before?.contains(document.activeElement)
        ? document.activeElement.dataset.actionId : null;
      node = render(item, before);
      node.dataset.key = item.key;
      node.print = print;
      if (before) {
        if (place === before) place = node;
        before.replaceWith(node);
        if (focused) node.querySelector(`[data-action-id="${CSS.escape(focused)}"]`)?.focus();
      }
    }
    if (place === node) place = node.nextElementSibling;
    else box.insertBefore(node, place);
  }
  for (const node of old.values()) node.remove();
}

export async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.json();
}

export const safeUrl = (url) => (/^(https?:|mailto:)/i.test(url || "") ? url : null);
