// The script of the page of many builds: bars over time, and a table of packages.
(() => {
  const pageLines = 100;
  const builds = data.builds, last = builds.length - 1;
  let measure = "unpacked", chosen = null, page = 0;
  const whole = { name: "the whole", unpacked: builds.map(b => b.content), packed: builds.map(b => b.file), versions: [] };
  for (const p of data.packages) {
    p.sortName = p.name;
    p.first = { unpacked: p.unpacked[last] - p.unpacked[0], packed: p.packed[last] - p.packed[0] };
    p.step = 0;
    for (let i = 1; i <= last; i++) if (Math.abs(p.unpacked[i] - p.unpacked[p.step]) > 0 && Math.abs(p.unpacked[i] - p.unpacked[i - 1]) > Math.abs(stepOf(p))) p.step = i;
  }
  function stepOf(p) { return p.step ? p.unpacked[p.step] - p.unpacked[p.step - 1] : 0; }

  function svg(tag, attributes, text) {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    if (text !== undefined) e.textContent = text;
    return e;
  }

  // Bars have one depth less than tiles: their height shows the rest, and the palest could not be seen.
  const barLegend = legend.filter(([name]) => !name.endsWith("-1"))
    .map(([name, text]) => ({ "less-2": [name, "\u2212 up to 10\u00a0%"], same: ["same-bar", text], "more-2": [name, "+ up to 10\u00a0%"] })[name] || [name, text]);

  // bars are one for each build, coloured by what changed against the one before.
  function bars(sizes, w, h, gap) {
    const most = Math.max(...sizes, 1), wide = w / sizes.length;
    return sizes.map((n, i) => svg("rect", { x: (i * wide).toFixed(2), y: (h - h * n / most).toFixed(2), width: Math.max(0.5, wide - gap).toFixed(2),
      height: (h * n / most).toFixed(2), class: i === 0 ? "same" : colour(sizes[i - 1], n) }));
  }

  function drawChart() {
    const p = chosen || whole, sizes = p[measure];
    const w = byId("chart").clientWidth || 600, h = 200, top = 22;
    const box = svg("svg", { class: "chart", viewBox: "0 0 " + w + " " + (top + h + 26), role: "img",
      "aria-label": p.name + ", " + bytes(sizes[0]) + " in " + builds[0].name + ", " + bytes(sizes[last]) + " in " + builds[last].name });
    const most = Math.max(...sizes, 1);
    for (const share of [1, 0.5, 0]) {
      const y = top + h - h * share;
      box.append(svg("line", { x1: 0, x2: w, y1: y, y2: y }));
      if (share) box.append(svg("text", { x: 0, y: y - 4 }, bytes(Math.round(most * share))));
    }
    const group = svg("g", { transform: "translate(64 " + top + ")" });
    bars(sizes, w - 64, h, builds.length > 60 ? 0.5 : 3).forEach((r, i) => {
      r.append(svg("title", {}, builds[i].name + (p.versions[i] ? "\n" + p.versions[i] : "") + "\n" + bytes(sizes[i]) + (i ? " (" + growth(sizes[i] - sizes[i - 1]) + ")" : "")));
      group.append(r);
    });
    box.append(group);
    const wide = (w - 64) / builds.length, all = builds.every(b => b.name.length * 7 < wide);
    builds.forEach((b, i) => {
      if (all) box.append(svg("text", { x: 64 + wide * (i + 0.5), y: top + h + 17, "text-anchor": "middle" }, b.name));
      else if (i === 0 || i === last) box.append(svg("text", { x: i ? w : 64, y: top + h + 17, "text-anchor": i ? "end" : "start" }, b.name));
    });
    byId("chart").replaceChildren(box);
    byId("chart-name").textContent = "Size over time: " + p.name;
    byId("all").hidden = !chosen;
  }

  const sort = sortable(() => { page = 0; drawTable(); }, "unpacked");
  const by = { name: p => p.name, unpacked: p => p.first.unpacked, packed: p => p.first.packed, step: stepOf };
  const order = (a, b) => (sort.way ? sort.way * compare(by[sort.by](a), by[sort.by](b)) : Math.abs(by[sort.by](b)) - Math.abs(by[sort.by](a))) || compare(a.name, b.name);
  const cell = (name, label, ...children) => make("td", null, { role: "cell", class: name, "data-label": label }, ...children);

  function number(p, m, label) {
    const [old, now] = [p[m][0], p[m][last]];
    return cell("num", label, make("span", growth(now - old), { class: trend(now - old) }), make("small", old === now ? bytes(now) : bytes(old) + " \u2192 " + bytes(now)));
  }

  function drawRow(p) {
    const name = button(null, { "data-key": p.name, "aria-pressed": String(p === chosen) }, () => {
      chosen = p === chosen ? null : p;
      drawChart();
      keepFocus(byId("rows"), drawTable);
    });
    name.append(breakable(p.name));
    const spark = svg("svg", { class: "spark", viewBox: "0 0 150 30", preserveAspectRatio: "none", "aria-hidden": "true" });
    spark.append(...bars(p.unpacked, 150, 30, builds.length > 30 ? 0.3 : 1.5));
    const known = p.versions.filter(v => v), versions = [...new Set([known[0], known.at(-1)])].filter(v => v).join(" \u2192 ");
    return make("tr", null, { role: "row" }, make("th", null, { scope: "row", role: "rowheader" }, name, make("div", null, { class: "soft" }, breakable(versions))),
      cell("wide", null, spark), number(p, "unpacked", "unpacked"), data.packed ? number(p, "packed", "compressed") : null,
      cell("wide", "largest step", p.step ? make("span", growth(stepOf(p)), { class: trend(stepOf(p)) }) : make("span", "none", { class: "soft" }), p.step ? make("small", null, {}, " in ", breakable(builds[p.step].name)) : null));
  }

  function drawTable() {
    const text = byId("filter").value.toLowerCase();
    const list = data.packages.filter(p => p.name.toLowerCase().includes(text)).sort(order);
    const pages = Math.max(1, Math.ceil(list.length / pageLines));
    page = Math.min(page, pages - 1);
    byId("rows").replaceChildren(...list.slice(page * pageLines, (page + 1) * pageLines).map(drawRow));
    byId("count").textContent = count(list.length) + (list.length === 1 ? " package" : " packages");
    drawPager(byId("pager"), page, pages, p => { page = p; drawTable(); byId("tools").scrollIntoView({ block: "start" }); });
  }

  byId("measure").hidden = byId("packed-head").hidden = !data.packed;
  for (const b of byId("measure").children) {
    b.addEventListener("click", () => {
      measure = b.dataset.measure;
      for (const o of byId("measure").children) o.setAttribute("aria-pressed", String(o === b));
      drawChart();
    });
  }
  byId("all").addEventListener("click", () => { chosen = null; drawChart(); drawTable(); byId("rows").focus({ preventScroll: true }); });
  byId("filter").addEventListener("input", () => { page = 0; drawTable(); });
  drawLegend(barLegend);
  byId("script").hidden = byId("over").hidden = false;
  drawChart();
  drawTable();
  new ResizeObserver(drawChart).observe(byId("chart"));
})();
