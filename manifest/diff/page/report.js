// The page's one script: a map of sizes and a table of changes. It reads the
// data that stands in the page and builds elements by hand, so that no text
// from an archive ever becomes markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const marks = { A: "added", D: "removed", M: "changed", R: "moved", ".": "folded" };
  const map = document.getElementById("map");
  const up = document.getElementById("up");
  const filter = document.getElementById("filter");
  let inside = null; // the package that the map shows, or null: all
  let chosen = null; // the node whose changes the table is confined to
  let sort = { by: "growth", down: true };

  function make(tag, text, name) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (name) e.className = name;
    return e;
  }

  function bytes(n) {
    const sign = n < 0 ? "-" : "";
    n = Math.abs(n);
    if (n < 1024) return sign + n + " B";
    let unit = -1;
    do { n /= 1024; unit++; } while (n >= 1023.95 && unit < 5);
    return sign + n.toFixed(1) + " " + "KMGTPE"[unit] + "iB";
  }

  function growth(n) { return n > 0 ? "+" + bytes(n) : n === 0 ? "\u00b10 B" : bytes(n); }
  function trend(n) { return n > 0 ? "grew" : n < 0 ? "shrank" : "same"; }

  // Squarified treemap (Bruls, Huizing, van Wijk 2000): rows along the shorter
  // side, each as long as its worst rectangle gets no thinner.
  function layout(items, x, y, w, h) {
    const out = [];
    const total = items.reduce((sum, i) => sum + i.area, 0);
    if (!total || w < 1 || h < 1) return out;
    const scale = w * h / total;
    const rest = items.map(i => ({ item: i, area: i.area * scale }));
    const worst = (row, sum, side) => row.reduce((most, r) =>
      Math.max(most, side * side * r.area / (sum * sum), sum * sum / (side * side * r.area)), 0);
    while (rest.length) {
      const side = Math.min(w, h);
      const row = [rest.shift()];
      let sum = row[0].area;
      while (rest.length && worst([...row, rest[0]], sum + rest[0].area, side) <= worst(row, sum, side)) {
        sum += rest[0].area;
        row.push(rest.shift());
      }
      const thick = sum / side;
      let along = 0;
      for (const r of row) {
        const length = r.area / thick;
        out.push(w >= h ? { item: r.item, x, y: y + along, w: thick, h: length }
          : { item: r.item, x: x + along, y, w: length, h: thick });
        along += length;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    }
    return out;
  }

  // items are the packages, or the directories of one.
  function items() {
    const sums = new Map();
    for (const n of data.nodes) {
      if (inside !== null && n.package !== inside) continue;
      const name = inside === null ? n.package : n.dir || "small ones";
      const sum = sums.get(name) || { name, old: 0, new: 0, files: 0, node: n };
      sum.old += n.old; sum.new += n.new; sum.files += n.files;
      sums.set(name, sum);
    }
    const list = [...sums.values()];
    for (const i of list) i.area = i.new || i.old;
    return list.filter(i => i.area > 0).sort((a, b) => b.area - a.area || (a.name < b.name ? -1 : 1));
  }

  function drawMap() {
    const tiles = layout(items(), 0, 0, map.clientWidth, map.clientHeight).map(r => {
      const i = r.item;
      const b = make("button", undefined, trend(i.new - i.old));
      b.type = "button";
      b.style.left = r.x + "px"; b.style.top = r.y + "px";
      b.style.width = r.w + "px"; b.style.height = r.h + "px";
      b.title = i.name + ": " + bytes(i.old) + " \u2192 " + bytes(i.new) + " (" + growth(i.new - i.old) + "), " + i.files + " files";
      if (r.w < 16 || r.h < 16) b.className += " tiny";
      if (r.w > 48 && r.h > 18) b.append(make("span", i.name));
      if (r.w > 60 && r.h > 34) b.append(make("small", bytes(i.new) + (i.new === i.old ? "" : ", " + growth(i.new - i.old))));
      b.addEventListener("click", () => {
        if (inside === null) inside = i.name; else chosen = i.node;
        draw();
      });
      return b;
    });
    map.replaceChildren(...tiles);
    up.hidden = inside === null;
  }

  function visible(r) {
    if (inside !== null && r.package !== inside) return false;
    if (chosen && chosen.dir && r.path.slice(0, r.path.lastIndexOf("/")) !== chosen.dir) return false;
    const text = filter.value.toLowerCase();
    return [r.path, r.from || "", r.package, r.details, marks[r.mark]].some(s => s.toLowerCase().includes(text));
  }

  function diffText(text) {
    const pre = make("pre");
    for (const line of text.split("\n")) {
      pre.append(make("span", line + "\n", line[0] === "+" ? "in" : line[0] === "-" ? "out" : ""));
    }
    return pre;
  }

  function drawRow(r) {
    const tr = make("tr");
    const where = make("td", r.from ? r.from + " \u2192 " + r.path : r.path);
    where.append(make("div", r.details, "what"));
    if (r.text) {
      const fold = make("details");
      fold.append(make("summary", "text"), diffText(r.text));
      where.append(fold);
    }
    tr.append(make("td", marks[r.mark]), where, make("td", r.package), make("td", growth(r.growth), trend(r.growth)));
    return tr;
  }

  function drawTable() {
    const rows = data.rows.filter(visible);
    const way = sort.down ? -1 : 1;
    rows.sort((a, b) => way * (a[sort.by] < b[sort.by] ? -1 : a[sort.by] > b[sort.by] ? 1 : 0) || (a.path < b.path ? -1 : 1));
    const most = 2000; // a browser shows them at once; the filter finds the others
    document.getElementById("rows").replaceChildren(...rows.slice(0, most).map(drawRow));
    document.getElementById("count").textContent = rows.length + " of " + data.rows.length +
      (rows.length > most ? ", the first " + most + " shown" : "");
    for (const b of document.querySelectorAll("th button")) {
      b.className = b.dataset.by === sort.by ? (sort.down ? "down" : "up") : "";
    }
  }

  function draw() { drawMap(); drawTable(); }

  for (const b of document.querySelectorAll("th button")) {
    b.addEventListener("click", () => {
      sort = { by: b.dataset.by, down: sort.by === b.dataset.by ? !sort.down : b.dataset.by === "growth" };
      drawTable();
    });
  }
  up.addEventListener("click", () => { inside = chosen = null; draw(); });
  filter.addEventListener("input", drawTable);
  window.addEventListener("resize", drawMap);
  draw();
})();
