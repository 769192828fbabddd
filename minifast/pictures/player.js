// Plays data.steps on the drawing in root. Each step says what happens, so the state after step n
// is found by going through the steps 0..n; nothing has to be undone to go back.
const find = (selector) => root.querySelector(selector);
const vertices = [...root.querySelectorAll(".mf-vertex")].sort((a, b) => a.dataset.id - b.dataset.id);
const edges = [...root.querySelectorAll(".mf-edge")];
const box = find(".mf-scroll");
const buttons = Object.fromEntries(
  [...root.querySelectorAll("button")].map((button) => [button.dataset.do, button]));
const last = data.steps.length - 1;
const label = (i) => `${data.names[i]} [${i}]`;
let now = 0;
let timer = null;

function stateAfter(n) {
  const gradient = {}, released = [];
  for (const step of data.steps.slice(0, n + 1)) {
    const target = step.to ?? step.at;
    if (target !== null) gradient[target] = step.short;
    released.push(...step.released);
  }
  return { gradient, released };
}

function show(n) {
  now = Math.max(0, Math.min(last, n));
  const step = data.steps[now], { gradient, released } = stateAfter(now);
  vertices.forEach((vertex, i) => {
    const is = { visiting: i === step.at, receiving: i === step.to,
                 waiting: step.queue.includes(i), released: released.includes(i) };
    for (const name in is) vertex.classList.toggle(`mf-is-${name}`, is[name]);
    const line = vertex.querySelector(".mf-gradient");
    if (line) line.textContent = i in gradient ? `∂ ${gradient[i]}` : "";
  });
  for (const edge of edges) {
    const used = Number(edge.dataset.to) === step.at && Number(edge.dataset.from) === step.to;
    edge.classList.toggle("mf-used", used && step.to !== null);
  }
  find(".mf-count").textContent = `step ${now} of ${last}`;
  find(".mf-text").textContent = step.text;
  find(".mf-values").textContent = step.values;
  find(".mf-queue").replaceChildren(...(step.queue.length ? step.queue.map(label) : ["empty"]).map(
    (text) => Object.assign(document.createElement("li"), { textContent: text })));
  find(".mf-released").textContent = released.length ? released.map(label).join(", ") : "nothing yet";
  buttons.back.setAttribute("aria-disabled", now === 0); // "disabled" would take the focus away
  buttons.step.setAttribute("aria-disabled", now === last);
  if (now === last) pause();
  bringIntoView(vertices[step.to ?? step.at ?? 0], step.to ?? step.at);
}

// scrolls the drawing's own box, not the page
function bringIntoView(vertex, number) {
  if (number === null) return;
  const inner = vertex.getBoundingClientRect(), outer = box.getBoundingClientRect();
  box.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
  box.scrollTop += inner.top + inner.height / 2 - outer.top - outer.height / 2;
}

function pause() {
  clearInterval(timer);
  timer = null;
  buttons.play.textContent = "Play";
}

function play() {
  if (timer !== null) return pause();
  if (now === last) show(0);
  buttons.play.textContent = "Pause";
  timer = setInterval(() => (root.isConnected ? show(now + 1) : pause()), 1200);
}

const actions = { back: () => show(now - 1), step: () => show(now + 1), play,
                  first: () => show(0) };
for (const name in buttons) {
  buttons[name].addEventListener("click", () => {
    if (name !== "play") pause();
    actions[name]();
  });
}
root.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onButton = event.target.tagName === "BUTTON";
  const action = { ArrowLeft: actions.back, ArrowRight: actions.step, Home: actions.first,
                   End: () => show(last), " ": onButton ? undefined : play }[event.key];
  if (!action) return;
  if (event.key !== " ") pause();
  action();
  event.preventDefault();
  event.stopPropagation(); // a notebook has keys of its own
});
show(0);
