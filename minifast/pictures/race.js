// Draws the two paths that belong to the switches, up to the update that is chosen.
const find = (selector) => root.querySelector(selector);
const place = ([x, y]) => [x, -y].map((v) => ((v + data.span) * data.size) / (2 * data.span));
const far = 10 * data.size; // a path that diverges is cut here

function show() {
  const words = ["momentum", "bias"].filter((name) => find(`[name=${name}]`).checked);
  const update = Number(find("[name=update]").value);
  const losses = ["sgd", "adam"].map((kind) => {
    const path = data.paths[[kind, ...words, find("[name=decay]").value].join(" ")];
    const points = path.slice(0, update + 1).map(place);
    const [x, y] = points.at(-1).map((v) => Math.max(-far, Math.min(far, v)));
    find(`path.mf-${kind}`).setAttribute("d", "M" + points.map((p) => p.join(" ")).join("L"));
    const dot = find(`svg .mf-dot.mf-${kind}`);
    for (const [name, value] of Object.entries({ cx: x, cy: y, x: x - 5.5, y: y - 5.5 })) {
      dot.setAttribute(name, value);
    }
    return `${kind === "sgd" ? "SGD" : "Adam"} ${path[update][2].toPrecision(3)}`;
  });
  find("output").textContent = `update ${update}, loss: ${losses.join(", ")}`;
}

root.addEventListener("input", show);
show();
