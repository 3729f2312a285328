// What the pages have in common. A page builds its elements by hand from the data that stands in it, so that no text from an
// archive ever becomes markup.
"use strict";
const byId = id => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);

// make is an element with text, attributes and children; a child that is null is left out.
function make(tag, text, attributes = {}, ...children) {
  const e = document.createElement(tag);
  if (text !== null && text !== undefined) e.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) e.setAttribute(name, value);
  e.append(...children.filter(c => c !== null));
  return e;
}

function button(text, attributes, act) {
  const b = make("button", text, { type: "button", ...attributes });
  b.addEventListener("click", act);
  return b;
}

const breaks = /(?<=[/_+:-])(?=[^/_+:>-])/;

// breakable is a name that a line may break only behind what separates its words.
function breakable(text) {
  const all = document.createDocumentFragment();
  for (const part of text.split(breaks)) {
    if (all.childNodes.length) all.append(document.createElement("wbr"));
    all.append(part);
  }
  return all;
}

function bytes(n) {
  const sign = n < 0 ? "\u2212" : "";
  n = Math.abs(n);
  if (n < 1024) return sign + n + "\u00a0B";
  let unit = -1;
  do { n /= 1024; unit++; } while (n >= 1023.95 && unit < 5);
  return sign + n.toFixed(1) + "\u00a0" + "KMGTPE"[unit] + "iB";
}

const growth = n => n > 0 ? "+" + bytes(n) : n === 0 ? "\u00b10" : bytes(n);
const trend = n => n > 0 ? "more" : n < 0 ? "less" : "soft";
// steps are the depths of colour, by growth against the larger of both sizes.
const steps = [[0.5, 4], [0.1, 3], [0.01, 2], [0, 1]];
const depth = (old, now) => steps.find(([least]) => Math.abs(now - old) / Math.max(old, now, 1) > least || least === 0)[1];
const colour = (old, now) => old === now ? "same" : trend(now - old) + "-" + depth(old, now);
const legend = [["less-4", "\u2212 over 50\u00a0%"], ["less-3", "\u2212 over 10\u00a0%"], ["less-2", "\u2212 over 1\u00a0%"], ["less-1", "\u2212 a little"],
  ["same", "same size"], ["more-1", "+ a little"], ["more-2", "+ over 1\u00a0%"], ["more-3", "+ over 10\u00a0%"], ["more-4", "+ over 50\u00a0%, or new"]];
const drawLegend = list => byId("legend").append(...list.map(([name, text]) => make("span", text, { class: name })));
const count = n => n.toLocaleString("en-US");
const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;

function percent(old, now) {
  if (!old || old === now) return "";
  const p = 100 * (now - old) / old;
  if (Math.abs(p) < 0.05) return growth(now - old);
  return (p > 0 ? "+" : "\u2212") + Math.abs(p).toFixed(Math.abs(p) < 10 ? 1 : 0) + "\u00a0%";
}

// keepFocus draws something anew; who had the focus has it again, if it is still there, else what stands for all of it.
function keepFocus(where, draw) {
  const key = where.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  draw();
  if (key === undefined) return;
  const again = [...where.querySelectorAll("[data-key]")].find(e => e.dataset.key === key && !e.disabled);
  (again || where).focus({ preventScroll: true });
}

// sortable makes the heads of a table's columns sort; it returns by what and which way: names from A, growth by how much, then
// most growth first, then least.
function sortable(draw, by) {
  const state = { by, way: 0 };
  const heads = [...document.querySelectorAll("thead button")];
  for (const b of heads) {
    const ways = b.dataset.ways.split(" ").map(Number);
    b.addEventListener("click", () => {
      state.way = state.by === b.dataset.by ? ways[(ways.indexOf(state.way) + 1) % ways.length] : ways[0];
      state.by = b.dataset.by;
      for (const o of heads) {
        o.parentElement.setAttribute("aria-sort", o !== b ? "none" : { "-1": "descending", 0: "other", 1: "ascending" }[state.way]);
      }
      draw();
    });
  }
  return state;
}

// drawPager writes the buttons that lead through pages of a table.
function drawPager(nav, page, pages, go) {
  nav.hidden = pages < 2;
  if (nav.hidden) return;
  const to = (text, key, p) => {
    const b = button(text, { "data-key": key }, () => keepFocus(nav, () => go(p)));
    b.disabled = p === page || p < 0 || p >= pages;
    return b;
  };
  const at = make("input", null, { type: "number", min: 1, max: pages, value: page + 1, "aria-label": "page", "data-key": "page" });
  at.addEventListener("change", () => keepFocus(nav, () => go(Math.min(Math.max(1, +at.value || 1), pages) - 1)));
  nav.replaceChildren(to("first", "first", 0), to("previous", "previous", page - 1), make("label", "page ", {}, at, " of " + pages),
    to("next", "next", page + 1), to("last", "last", pages - 1));
}
