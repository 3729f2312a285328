// The report's script: a map of sizes and a table of changes.
(() => {
  const pageLines = 100;
  const kinds = { A: "added", D: "removed", M: "changed", R: "moved", ".": "folded" };
  const packages = data.packages.map(p => ({ name: p.name, version: p.version, unpacked: [p.Old, p.New], packed: [p.OldPacked, p.NewPacked] }));
  const nodes = data.nodes.map(([pkg, path, small, files, a, b, c, d]) => ({ pkg, path, small, files, unpacked: [a, b], packed: [c, d] }));
  const rows = data.rows.map(([mark, pkg, path, from, details, own, a, b, c, d, text]) =>
    ({ mark, pkg, path, from, details, own, text, unpacked: [a, b], packed: [c, d] }));
  const texts = r => r.texts ??= [r.path, r.from, packages[r.pkg].name, r.details, r.own, kinds[r.mark]].join("\n").toLowerCase(); // once somebody searches
  const filesOf = packages.map(() => []);
  for (const n of [...nodes, ...rows]) filesOf[n.pkg].push(n);
  const only = packages.length === 1;
  const map = byId("map");
  let measure = "unpacked";
  let at = { pkg: only ? 0 : -1, path: "" }; // where the map is: -1 is all packages
  let page = 0;
  let wanted = new Set(); // kinds; none is all
  const open = new Map(); // packages that were opened or closed by hand
  let allOpen = rows.length <= 40;

  drawLegend([["gone", "gone"], ...legend]);

  // Squarified treemap (Bruls, Huizing, van Wijk 2000): rows along the shorter side, each as long as its worst rectangle gets
  // no thinner.
  function layout(items, x, y, w, h) {
    const out = [];
    const total = items.reduce((sum, i) => sum + i.area, 0);
    if (!total || w < 1 || h < 1) return out;
    const rest = items.map(item => ({ item, area: item.area * w * h / total }));
    const worst = (most, least, sum, side) => Math.max(side * side * most / (sum * sum), sum * sum / (side * side * least));
    for (let i = 0; i < rest.length;) {
      const side = Math.min(w, h);
      const most = rest[i].area;
      let sum = most, end = i + 1;
      while (end < rest.length && worst(most, rest[end].area, sum + rest[end].area, side) <= worst(most, rest[end - 1].area, sum, side)) {
        sum += rest[end++].area;
      }
      const thick = sum / side;
      let along = 0;
      for (; i < end; i++) {
        const length = rest[i].area / thick;
        out.push(w >= h ? { item: rest[i].item, x, y: y + along, w: thick, h: length } : { item: rest[i].item, x: x + along, y, w: length, h: thick });
        along += length;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    }
    return out;
  }

  const within = (path, dir) => dir === "" || path === dir || path.startsWith(dir + "/");

  // prefix is the directory that all of a package's files below dir have in common.
  function prefix(list, dir) {
    let common = null;
    for (const n of list) {
      if (n.path === "" && n.small) continue;
      const parts = (n.small ? n.path : n.path.slice(0, Math.max(0, n.path.lastIndexOf("/")))).split("/");
      if (common === null) { common = parts; continue; }
      let i = 0;
      while (i < common.length && common[i] === parts[i]) i++;
      common = common.slice(0, i);
    }
    const found = (common || []).join("/");
    return within(found, dir) ? found : dir;
  }
  const prefixes = new Map(); // of packages: what no name in them repeats
  function prefixOf(pkg) {
    if (!prefixes.has(pkg)) prefixes.set(pkg, prefix(filesOf[pkg], ""));
    return prefixes.get(pkg);
  }
  const shorten = (path, dir) => dir && path.startsWith(dir + "/") ? path.slice(dir.length + 1) : path;

  // items are what the map shows: packages, or what lies below one directory of a package.
  function items() {
    const list = at.pkg < 0 ? packages.map((p, pkg) => ({ ...p, label: p.name, go: { pkg, path: "" }, key: "p" + pkg })) : below(at);
    for (const i of list) i.area = areaOf(i);
    return list.filter(i => i.area > 0).sort((a, b) => b.area - a.area || compare(a.label, b.label));
  }
  function below({ pkg, path }) {
    let list = nodes.filter(n => n.pkg === pkg && within(n.path, path));
    if (list.length === 1 && !list[0].small && path.includes("/")) { // a file: its neighbours stay around it
      path = path.slice(0, path.lastIndexOf("/"));
      list = nodes.filter(n => n.pkg === pkg && within(n.path, path));
    }
    const dir = prefix(list, path);
    const tiles = split(list, dir);
    const total = tiles.reduce((n, t) => n + areaOf(t), 0);
    for (let n = 0; n < 60; n++) { // one that is most of the map says nothing but its own name: what is in it does
      const i = tiles.findIndex(t => !t.here && t.list.length > 1 && areaOf(t) > total / 4);
      if (i < 0) break;
      tiles.push(...split(...tiles.splice(i, 1).map(t => [t.list, t.path])[0]));
    }
    return tiles.map(t => ({ ...t, label: t.here ? count(t.files) + (t.files === 1 ? " small file" : " small files") + (t.path === dir ? "" : " in " + shorten(t.path, dir)) : shorten(t.path, dir),
      go: { pkg, path: t.path }, key: "n" + pkg + "/" + t.path + (t.here ? "/" : "") }));
  }
  const areaOf = i => i[measure][1] || i[measure][0];

  // split is what lies in a directory, each with all that is below it; small files are one. A chain of directories with nothing
  // but one another is its last.
  function split(list, dir) {
    const sums = new Map();
    for (const n of list) {
      const here = n.small && (n.path === dir || n.path === "");
      const name = here ? "" : shorten(n.path, dir).split("/")[0];
      const sum = sums.get(name) || { here, path: here || !name ? dir : dir ? dir + "/" + name : name, unpacked: [0, 0], packed: [0, 0], files: 0, list: [] };
      for (const m of ["unpacked", "packed"]) for (const i of [0, 1]) sum[m][i] += n[m][i];
      sum.files += n.files;
      sum.list.push(n);
      sums.set(name, sum);
    }
    for (const s of sums.values()) if (!s.here) s.path = s.list.length === 1 ? s.list[0].path : prefix(s.list, s.path);
    return [...sums.values()];
  }

  // fits says how many lines a label takes in a width, 0 if a word of it does not fit.
  const labelBreaks = new RegExp(breaks.source + "|(?<= )");
  const ruler = document.createElement("canvas").getContext("2d");
  function fits(label, width, size) {
    ruler.font = size + 0.5 + "px system-ui, sans-serif";
    let lines = 1, x = 0;
    for (const part of label.split(labelBreaks)) {
      const w = ruler.measureText(part).width;
      if (w > width) return 0;
      if (x + w > width) { lines++; x = 0; }
      x += w;
    }
    return lines;
  }

  function go(to) {
    const was = at;
    at = to;
    page = 0;
    draw();
    const key = "p" + was.pkg;
    const tiles = [...map.children];
    const back = tiles.find(t => t.dataset.key === key || was.path && within(was.path, t.dataset.path || "/"));
    focusTile(back && was.pkg >= 0 ? back : tiles[0]);
  }
  function focusTile(tile) {
    if (!tile) return;
    for (const t of map.children) t.tabIndex = -1;
    tile.tabIndex = 0;
    tile.focus({ preventScroll: true });
  }
  const parent = () => at.path && prefixOf(at.pkg) !== at.path && within(at.path, prefixOf(at.pkg))
    ? { pkg: at.pkg, path: at.path.slice(0, Math.max(0, at.path.lastIndexOf("/"))) } : only ? { pkg: 0, path: "" } : at.path ? { pkg: at.pkg, path: "" } : { pkg: -1, path: "" };

  // drawInner shows what is in a large package, so that it is no empty plane: a picture, not to be pressed, behind the tile's text.
  function drawInner(tile, to, w, h, top) {
    if (w < 260 || h - top < 120) return;
    const inner = below(to).map(i => ({ ...i, area: areaOf(i) })).filter(i => i.area > 0).sort((a, b) => b.area - a.area);
    if (inner.length < 2) return;
    const box = make("span", null, { class: "inner", "aria-hidden": "true" });
    box.style.top = top + "px";
    box.append(...layout(inner, 0, 0, w - 10, h - top - 6).filter(t => t.w > 3 && t.h > 3).map(({ item: i, x, y, w, h }) => {
      const e = make("i", null, { class: colour(...i[measure]) + (i[measure][1] === 0 ? " gone" : "") });
      e.style.left = x + "px"; e.style.top = y + "px"; e.style.width = w - 2 + "px"; e.style.height = h - 2 + "px";
      const size = 10.5, label = i.here ? "small files" : i.label.split("/").at(-1);
      if (h >= size * 1.3 + 6 && fits(label, w - 12, size) === 1) e.textContent = label;
      return e;
    }));
    tile.append(box);
  }

  function drawMap() {
    const tiles = layout(items(), 0, 0, map.clientWidth, map.clientHeight).map(({ item: i, x, y, w, h }) => {
      const [old, now] = i[measure];
      const says = old === now ? bytes(now) : now === 0 ? bytes(old) + ", gone" : old === 0 ? bytes(now) + ", new" : bytes(now) + ", " + percent(old, now);
      const b = button(null, { class: "tile " + colour(old, now) + (now === 0 ? " gone" : "") + (w < 14 || h < 14 ? " tiny" : ""),
        "data-key": i.key, "data-path": i.go.path || null, tabindex: -1,
        title: i.label + (i.version ? " " + i.version : "") + "\n" + bytes(old) + " \u2192 " + bytes(now) + " (" + growth(now - old) + ")" +
          (data.packed ? "\n" + ["unpacked", "packed"].map(m => (m === "packed" ? "compressed " : m + " ") + growth(i[m][1] - i[m][0])).join(", ") : "") + (i.files ? "\n" + count(i.files) + " files" : ""),
        "aria-label": i.label + ", " + says, "aria-pressed": at.path !== "" && i.go.path === at.path ? "true" : null }, () => go(i.go));
      b.style.left = x + "px"; b.style.top = y + "px";
      b.style.width = Math.max(1, w - 2) + "px"; b.style.height = Math.max(1, h - 2) + "px";
      const short = "\u2026/" + i.label.split("/").at(-1), room = w - 18;
      const [label, size] = [[i.label, 12.5], [i.label, 10.5], [short, 12.5], [short, 10.5]].find(([l, size]) => fits(l, room, size) && fits(l, room, size) * size * 1.3 + 12 <= h) || [];
      if (label) {
        const high = fits(label, room, size) * size * 1.3;
        b.append(make("span", null, size < 12 ? { class: "small" } : {}, breakable(label)));
        if (high + 28 <= h && fits(says, room, 11.5) === 1) {
          b.append(make("small", says));
          if (i.go.path === "" && at.pkg < 0) drawInner(b, i.go, w, h, high + 32);
        }
      }
      return b;
    });
    if (tiles[0]) tiles[0].tabIndex = 0;
    map.replaceChildren(...tiles);
    byId("measured").textContent = measure === "unpacked" ? "Areas are bytes in memory; of what is gone, those that it had."
      : "Areas are shares of the file: how far each segment was compressed as a whole, spread over what is in it.";
  }

  map.addEventListener("keydown", e => {
    const tiles = [...map.children], i = tiles.indexOf(document.activeElement);
    const box = t => t.getBoundingClientRect();
    const next = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[e.key];
    if (e.key === "Escape" && at.pkg >= 0) go(parent());
    else if (e.key === "Home") focusTile(tiles[0]);
    else if (e.key === "End") focusTile(tiles.at(-1));
    else if (next && i >= 0) { // the nearest one that way
      const from = box(tiles[i]), mid = r => [(r.left + r.right) / 2, (r.top + r.bottom) / 2], [x, y] = mid(from);
      let best = null, least = Infinity;
      for (const t of tiles) {
        const [tx, ty] = mid(box(t)), ahead = (tx - x) * next[0] + (ty - y) * next[1], aside = Math.abs((tx - x) * next[1]) + Math.abs((ty - y) * next[0]);
        if (t !== tiles[i] && ahead > 1 && ahead + 2 * aside < least) { best = t; least = ahead + 2 * aside; }
      }
      focusTile(best);
    } else return;
    e.preventDefault();
  });

  function drawCrumbs() {
    const steps = only ? [] : [{ text: "all packages", to: { pkg: -1, path: "" } }];
    if (at.pkg >= 0) {
      steps.push({ text: packages[at.pkg].name, to: { pkg: at.pkg, path: "" } });
      const top = prefixOf(at.pkg);
      let path = at.path === "" || within(at.path, top) ? top : "";
      if (path) steps.push({ text: path + "/", to: { pkg: at.pkg, path }, soft: at.path === "" });
      for (const name of shorten(at.path === path ? "" : at.path, path).split("/").filter(n => n)) {
        path = path ? path + "/" + name : name;
        steps.push({ text: name, to: { pkg: at.pkg, path } });
      }
    }
    const nav = byId("crumbs");
    nav.replaceChildren(...steps.flatMap((s, i) => [i ? make("span", "\u203a", { class: "soft", "aria-hidden": "true" }) : null,
      i === steps.length - 1 ? make("span", null, s.soft ? { class: "soft" } : { "aria-current": "location" }, breakable(s.text))
        : button(null, { "data-key": s.text }, () => go(s.to))]).filter(e => e));
    nav.querySelectorAll("button").forEach((b, i) => b.append(breakable(steps[i].text)));
  }

  function visible(r, words, kind) {
    return (at.pkg < 0 || r.pkg === at.pkg) && (at.path === "" || within(r.path, at.path)) && (!kind || !wanted.size || wanted.has(r.mark)) && words.every(w => texts(r).includes(w));
  }

  const sum = (list, m, i) => list.reduce((n, r) => n + r[m][i], 0);
  const by = { name: r => r.sortName, what: r => kinds[r.mark] || "", unpacked: r => r.unpacked[1] - r.unpacked[0], packed: r => r.packed[1] - r.packed[0] };
  for (const r of rows) r.sortName = r.path;
  const sort = sortable(() => { page = 0; drawTable(); }, "unpacked");
  const order = (a, b) => (sort.way ? sort.way * compare(by[sort.by](a), by[sort.by](b)) : Math.abs(by[sort.by](b)) - Math.abs(by[sort.by](a))) ||
    compare(a.sortName, b.sortName);

  function isOpen(pkg) { return open.has(pkg) ? open.get(pkg) : allOpen || at.pkg >= 0; }

  const cell = (name, label, ...children) => make("td", null, { role: "cell", class: name, "data-label": label || null }, ...children);
  function number(label, [old, now]) {
    return cell("num", label, make("span", growth(now - old), { class: trend(now - old) }), make("small", old === now ? bytes(now) : old === 0 ? "" : bytes(old) + " \u2192 " + bytes(now)));
  }
  const packedCell = sizes => data.packed ? number("compressed", sizes) : null;

  function drawGroup(g, again) {
    const p = packages[g.pkg], dir = prefixOf(g.pkg);
    const head = button(null, { "aria-expanded": String(isOpen(g.pkg)), "data-key": "g" + g.pkg }, () => {
      open.set(g.pkg, !isOpen(g.pkg));
      keepFocus(byId("rows"), drawTable);
    });
    head.append(breakable(p.name));
    const marks = Object.keys(kinds).map(k => [k, g.rows.filter(r => r.mark === k).length]).filter(([, n]) => n);
    return make("tr", null, { class: "group", role: "row" },
      make("th", null, { scope: "rowgroup", role: "rowheader" }, head, again ? make("span", " continued", { class: "soft" }) : null,
        make("div", null, { class: "sub" }, breakable([p.version, dir ? dir + "/" : ""].filter(s => s).join(" \u00b7 ")))),
      cell("what", null, ...marks.flatMap(([k, n], i) => [i ? " " : null, tag(k, count(n) + " " + kinds[k])])),
      number("unpacked", [sum(g.rows, "unpacked", 0), sum(g.rows, "unpacked", 1)]), packedCell([sum(g.rows, "packed", 0), sum(g.rows, "packed", 1)]));
  }
  const tag = (mark, text) => make("span", text, { class: "tag " + ({ A: "more", D: "less" }[mark] || "soft") });

  function diffText(text) {
    const pre = make("pre", null, { tabindex: 0 });
    for (const line of text.split("\n")) pre.append(make("span", line + "\n", { class: line[0] === "+" ? "more" : line[0] === "-" ? "less" : null }));
    return pre;
  }

  function drawRow(r) {
    const dir = prefixOf(r.pkg);
    const name = cell("name", null, make("span", null, { title: r.mark === "D" && r.from || r.path }, breakable(shorten(r.path, dir))),
      r.from && r.mark !== "D" ? make("small", null, {}, "was ", breakable(shorten(r.from, dir))) : null, r.details && (r.details !== "content" || r.unpacked[0] === r.unpacked[1]) ? make("small", r.details) : null);
    if (r.text) {
      const fold = make("details", null, {}, make("summary", "text"));
      fold.addEventListener("toggle", () => { if (fold.open && fold.children.length < 2) fold.append(diffText(r.text)); });
      name.append(fold);
    }
    return make("tr", null, { class: "entry", role: "row" }, name, cell("what", null, tag(r.mark, kinds[r.mark]), r.own ? tag("", "groundhog: " + r.own) : null),
      number("unpacked", r.unpacked), packedCell(r.packed));
  }

  function drawTable() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(w => w);
    const found = rows.filter(r => visible(r, words, false));
    drawKinds(found);
    const groups = new Map();
    for (const r of found) {
      if (wanted.size && !wanted.has(r.mark)) continue;
      if (!groups.has(r.pkg)) groups.set(r.pkg, { pkg: r.pkg, rows: [], sortName: packages[r.pkg].name, mark: "" });
      groups.get(r.pkg).rows.push(r);
    }
    const list = [...groups.values()];
    for (const g of list) for (const m of ["unpacked", "packed"]) g[m] = [sum(g.rows, m, 0), sum(g.rows, m, 1)];
    const lines = [];
    for (const g of list.sort(order)) {
      lines.push({ group: g });
      if (isOpen(g.pkg)) for (const row of g.rows.sort(order)) lines.push({ row, group: g });
    }
    const pages = Math.max(1, Math.ceil(lines.length / pageLines));
    page = Math.min(page, pages - 1);
    const shown = lines.slice(page * pageLines, (page + 1) * pageLines);
    const body = shown.map(l => l.row ? drawRow(l.row) : drawGroup(l.group, false));
    if (shown[0] && shown[0].row) body.unshift(drawGroup(shown[0].group, true));
    byId("rows").replaceChildren(...body);
    const n = list.reduce((n, g) => n + g.rows.length, 0);
    byId("count").textContent = (n === rows.length ? count(n) : count(n) + " of " + count(rows.length)) + " entries in " + count(list.length) + (list.length === 1 ? " package" : " packages");
    drawPager(byId("pager"), page, pages, p => { page = p; drawTable(); byId("tools").scrollIntoView({ block: "start" }); });
    byId("open").setAttribute("aria-pressed", String(allOpen));
  }

  function drawKinds(found) {
    keepFocus(byId("kinds"), () => byId("kinds").replaceChildren(...Object.keys(kinds).filter(k => rows.some(r => r.mark === k)).map(k =>
      button(kinds[k] + " " + count(found.filter(r => r.mark === k).length), { "aria-pressed": String(wanted.has(k)), "data-key": k }, () => {
        if (!wanted.delete(k)) wanted.add(k);
        page = 0;
        drawTable();
      }))));
  }

  function draw() { drawCrumbs(); drawMap(); drawTable(); }

  byId("measure").hidden = !data.packed;
  byId("packed-head").hidden = !data.packed;
  for (const b of byId("measure").children) {
    b.addEventListener("click", () => {
      measure = b.dataset.measure;
      for (const o of byId("measure").children) o.setAttribute("aria-pressed", String(o === b));
      drawMap();
    });
  }
  byId("open").addEventListener("click", () => { allOpen = !allOpen; open.clear(); page = 0; drawTable(); });
  byId("filter").addEventListener("input", () => { page = 0; drawTable(); });
  byId("script").hidden = false;
  draw();
  new ResizeObserver(drawMap).observe(map);
})();
