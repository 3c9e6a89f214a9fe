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
    document.querySelectorAll(".followed, .followed-dot").forEach((mark) =>
      mark.tagName === "TD" ? mark.classList.remove("followed") : mark.remove());
    if (chosen < 0) return;
    const [a, b] = data.pairs[chosen];
    data.networks.forEach((network, index) => {
      const plot = document.querySelector(`[data-network="${index}"] svg.layers`);
      for (const series of network) {
        const points = [];
        series.values.forEach((values, layer) => {
          if (values) points.push([series.x[layer], series.zero + series.unit * values[chosen] / 1000]);
        });
        if (!plot || !points.length) continue;
        const path = document.createElementNS(plot.namespaceURI, "path");
        path.setAttribute("class", "followed");
        path.setAttribute("d", "M" + points.map((point) => point.join(" ")).join("L"));
        plot.append(path);
        for (const [x, y] of points) {
          const dot = document.createElementNS(plot.namespaceURI, "circle");
          for (const [name, value] of [["class", "followed-dot"], ["cx", x], ["cy", y], ["r", 2.4]]) dot.setAttribute(name, value);
          plot.append(dot);
        }
      }
    });
    for (const table of document.querySelectorAll("table.heat"))
      for (const [row, column] of [[a, b], [b, a]]) table.tBodies[0].rows[row].cells[column + 1].classList.add("followed");
  };
  for (const place of document.querySelectorAll(".follow")) {
    const select = make("select", {}, make("option", { value: -1 }, "none"),
      ...data.pairs.map(([a, b], index) => make("option", { value: index }, `${data.classes[a]} – ${data.classes[b]}`)));
    select.addEventListener("change", () => follow(Number(select.value)));
    selects.push(select);
    place.append(make("label", {}, "Follow one pair through the layers: ", select));
  }
  for (const table of document.querySelectorAll("table.heat"))
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("td[class^=h]");
      if (!cell) return;
      const [low, high] = [cell.parentNode.sectionRowIndex, cell.cellIndex - 1].sort((x, y) => x - y);
      const chosen = data.pairs.findIndex(([a, b]) => a === low && b === high);
      follow(cell.classList.contains("followed") ? -1 : chosen);
    });
  document.body.classList.add("follows");
}

chooseNetwork();
document.querySelectorAll(".stack").forEach(slideLayers);
followPairs();
