// Moves a dot along each curve to the batch that is chosen.
const slider = root.querySelector("[name=batch]");

function show() {
  const batch = Number(slider.value);
  for (const dot of root.querySelectorAll(".mf-dot")) {
    dot.setAttribute("cx", dot.dataset.x.split(",")[batch]);
    dot.setAttribute("cy", dot.dataset.y.split(",")[batch]);
  }
  const values = Object.entries(data).map(([name, curve]) => `${name} ${curve[batch]}`);
  root.querySelector("output").textContent = `batch ${batch}: ${values.join(", ")}`;
}

slider.addEventListener("input", show);
show();
