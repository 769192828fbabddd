// Marks the row that was done last, and fills the table's gradient as far as it has been added up.
const slider = root.querySelector("input");
const [weight, result, arriving, gradient] = root.querySelectorAll("table");

function show() {
  const done = Number(slider.value), id = data.ids[done - 1];
  for (const [table, row] of [[weight, id], [gradient, id], [result, done - 1],
                              [arriving, done - 1]]) {
    [...table.rows].forEach((tr, i) => tr.classList.toggle("mf-is-visiting", i === row));
  }
  data.gradients[done].forEach((row, i) => row.forEach((value, j) => {
    gradient.rows[i].cells[j + 1].textContent = value;
  }));
  const again = data.ids.slice(0, done - 1).includes(id) ? ", which has one already: they add up" : "";
  root.querySelector("output").textContent = done === 0 ? "no row has been added" :
    `row ${done - 1} of the gradient is added to row ${id}${again}`;
}

slider.addEventListener("input", show);
show();
