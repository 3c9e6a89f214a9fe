"use strict";
// The page is complete without this script; it adds a choice of network and layer, and a pair to follow.
const data = JSON.parse(document.getElementById("values").textContent);
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

function chooseNetwork() {
  const names = data.names;
  if (names.length < 2) return;
  const show = (index) => {
    for (const block of document.querySelectorAll("[data-network]")) block.hidden = block.dataset.network !== String(index);
  };
  const bar = make("div", { class: "choice" });
  if (names.length <= 6) {
    const group = make("fieldset", {}, make("legend", {}, "Network"));
    names.forEach((name, index) => {
      const input = make("input", { type: "radio", name: "network", value: index });
      input.checked = index === 0;
      input.addEventListener("change", () => show(index));
      group.append(make("label", {}, input, " " + name));
    });
    bar.append(group);
  } else {
    const select = make("select", {}, ...names.map((name, index) => make("option", { value: index }, name)));
    select.addEventListener("change", () => show(Number(select.value)));
    bar.append(make("label", {}, "Network ", select));
  }
  document.getElementById("chosen").replaceWith(bar);
  show(0);
}

function slideLayers(stack) {
  const layers = [...stack.querySelectorAll(":scope > details.layer")];
  if (layers.length < 2) return;
  const slider = make("input", { type: "range", min: 0, max: layers.length - 1, step: 1, value: layers.length - 1 });
  const shown = make("output");
  const show = () => {
    const index = Number(slider.value);
    layers.forEach((layer, at) => { layer.hidden = at !== index; layer.open = true; });
    shown.textContent = layers[index].dataset.layer;
    slider.setAttribute("aria-valuetext", layers[index].dataset.layer);
  };
  slider.addEventListener("input", show);
  stack.prepend(make("div", { class: "control" }, make("label", {}, "Layer ", slider), shown));
  stack.classList.add("slid");
  show();
}

function followPairs() {
  if (!data.pairs.length) return;
  const selects = [];
  const follow = (chosen) => {
    for (const select of selects) select.value = chosen;
    drawPath(chosen);
    document.querySelectorAll(".followed, .followed-dot").forEach((mark) =>
      mark.tagName === "TD" ? mark.classList.remove("followed") : mark.remove());
    if (chosen < 0) return;
    const [a, b] = data.pairs[chosen];
    data.networks.forEach((network, index) => {
      for (const plot of document.querySelectorAll(`[data-network="${index}"] svg.layers .plot`)) {
        JSON.parse(plot.dataset.places).forEach(([first, slot, zero, unit], number) => {
          const points = network[number].values.map((values, layer) => values && [first + slot * layer, zero + unit * values[chosen] / 1000]).filter(Boolean);
          if (!points.length) return;
          plot.append(svg("path", { class: "followed", d: "M" + points.map((point) => point.join(" ")).join("L") }));
          if (slot >= 12) plot.append(...points.map(([cx, cy]) => svg("circle", { class: "followed-dot", cx, cy, r: 2.4 })));
        });
      }
    });
    for (const table of document.querySelectorAll("table.heat[data-state]"))
      for (const [row, column] of [[a, b], [b, a]]) table.tBodies[0].rows[row].cells[column + 1].classList.add("followed");
  };
  for (const place of document.querySelectorAll(".follow")) {
    const select = make("select", {}, make("option", { value: -1 }, "none"),
      ...data.pairs.map(([a, b], index) => make("option", { value: index }, `${data.classes[a]} – ${data.classes[b]}`)));
    select.addEventListener("change", () => follow(Number(select.value)));
    selects.push(select);
    place.append(make("label", {}, "Follow one pair through the layers: ", select));
  }
  for (const table of document.querySelectorAll("table.heat[data-state]"))
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("td[class^=h]");
      if (!cell) return;
      const [low, high] = [cell.parentNode.sectionRowIndex, cell.cellIndex - 1].sort((x, y) => x - y);
      const chosen = data.pairs.findIndex(([a, b]) => a === low && b === high);
      follow(cell.classList.contains("followed") ? -1 : chosen);
    });
  document.body.classList.add("follows");
}

const svg = (tag, attributes, ...children) => {
  const node = document.createElementNS(document.querySelector("svg").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

// The path of one pair, beside the heat map that it was chosen in.
function drawPath(chosen) {
  document.querySelectorAll(".path").forEach((place) => {
    place.replaceChildren();
    if (chosen < 0) return;
    const [a, b] = data.pairs[chosen];
    const step = Math.min(54, (Math.min(860, place.parentElement.clientWidth || 860) - 60) / data.layers.length);
    const width = step * data.layers.length + 60, top = 26, height = 150;
    const values = data.networks.flatMap((network) => network.flatMap((series) => series.values)).filter(Boolean);
    const low = Math.min(-0.1, ...values.map((all) => all[chosen] / 1000));
    const y = (value) => top + height * (1 - (value - low) / (1 - low));
    const x = (layer) => 46 + step * (layer + 0.5);
    const said = [];
    data.networks.forEach((network, index) => {
      const box = svg("svg", { width, height: top + height + 74, role: "img", class: "pathchart" });
      for (const tick of [0, 0.5, 1]) box.append(svg("path", { class: tick ? "grid" : "zero", d: `M40 ${y(tick)}H${width}` }), svg("text", { class: "tick end", x: 34, y: y(tick) + 4 }, tick.toFixed(1)));
      for (const series of network) {
        const points = series.values.map((all, layer) => all && [x(layer), y(all[chosen] / 1000)]).filter(Boolean);
        const group = svg("g", { class: series.split }, svg("path", { class: "means", d: "M" + points.map((point) => point.join(" ")).join("L"), ...(series.state === "untrained" ? { "stroke-dasharray": "2 5" } : {}) }));
        if (series.state === "trained") for (const [cx, cy] of points) group.append(svg("circle", { class: "mean", cx, cy, r: Math.max(1.2, Math.min(3.2, step * 0.25)) }));
        box.append(group);
        const last = series.values.filter(Boolean).at(-1)[chosen] / 1000;
        said.push(`${series.state}, ${series.split === "train" ? "training" : "validation"}: ${last.toFixed(3)} at the last layer`);
      }
      const every = Math.ceil(24 / step);
      data.layers.forEach((name, layer) => { if ((data.layers.length - 1 - layer) % every === 0) box.append(svg("text", { class: "name end", x: x(layer) + 4, y: top + height + 16, transform: `rotate(-40 ${x(layer) + 4} ${top + height + 16})` }, name.slice(0, 14))); });
      const title = `${data.classes[a]} – ${data.classes[b]} through the layers`;
      box.prepend(svg("text", { class: "panel", x: 4, y: 14 }, title + (data.networks.length > 1 ? `, ${data.names[index]}` : "")));
      box.setAttribute("aria-label", `${title}. ${said.join(". ")}`);
      const shown = make("div", { class: "network", "data-network": index }, box);
      shown.hidden = document.querySelector(`[data-network="${index}"]`)?.hidden ?? false;
      place.append(shown);
    });
    place.append(make("p", { class: "muted" }, "Orange: training, blue: validation; dashed: untrained."));
  });
}

// Tables: sorted by a click on a heading, copied for a paper or a spreadsheet.
const shown = (cell) => cell.textContent.trim();
function sortable(table) {
  table.querySelectorAll("thead th").forEach((head) => {
    if (!shown(head)) return;
    const button = make("button", { class: "sort", type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => {
        const text = shown(row.cells[head.cellIndex]).replaceAll("−", "-").replaceAll(",", "").replace(/^</, "");
        return Number.isNaN(parseFloat(text)) ? text : parseFloat(text);
      };
      const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1) * (ascending ? 1 : -1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

function copyable(table) {
  const rows = () => [...table.rows].map((row) => [...row.cells].map((cell) => shown(cell)));
  const drawn = () => [...table.rows].some((row) => row.querySelector("svg"));
  // A column of pictures has no text; a cell that a spreadsheet would run is kept as text.
  const kept = () => { const all = rows(); const keep = all[0].map((_, at) => !drawn() || all.some((row) => row[at])); return all.map((row) => row.filter((_, at) => keep[at])); };
  const plain = (cell) => { const text = cell.replaceAll("−", "-"); return /^[=+\-@]/.test(text) && !/^[+-]?[\d.]+$/.test(text) ? `'${text}` : text; };
  const csv = () => kept().map((row) => row.map((cell) => `"${plain(cell).replaceAll('"', '""')}"`).join(",")).join("\r\n");
  const markdown = () => kept().map((row, at) => `| ${row.map((cell) => cell.replace(/([\\|<`*_])/g, "\\$1")).join(" | ")} |` + (at ? "" : `\n|${row.map(() => "---|").join("")}`)).join("\n");
  const tools = make("div", { class: "tools" });
  for (const [name, write] of [["Copy as CSV", csv], ["Copy as Markdown", markdown]]) {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", async () => {
      await copy(write());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = name; }, 1500);
    });
    tools.append(button);
  }
  (table.closest(".scroll") || table).after(tools);
}

async function copy(content) {
  try { await navigator.clipboard.writeText(content); } catch {
    const area = make("textarea");
    area.value = content;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

for (const table of document.querySelectorAll("main table:not(.heat, .list)")) { sortable(table); copyable(table); }
chooseNetwork();
document.querySelectorAll(".stack").forEach(slideLayers);
followPairs();
