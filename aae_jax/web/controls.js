"use strict";
// What a person does: pointers, keys, buttons, files.

const ARROW = 1 / 40; // of the view, for an arrow key
const NEAR = 8; // pixels
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function listenToPlane(explorer) {
  const { plane } = explorer;
  const { front } = plane;
  const pointers = new Map();
  let box = null;
  let apart = 0;
  let pinched = false;

  front.addEventListener("pointerdown", (event) => {
    front.setPointerCapture(event.pointerId);
    if (!pointers.size) pinched = false;
    pointers.set(event.pointerId, event);
    apart = spread(pointers);
    if (explorer.tool === "select") box = [plane.fromPointer(event), plane.fromPointer(event)];
    else follow(event);
  });
  front.addEventListener("pointermove", (event) => {
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
    if (pointers.size === 2) pinch();
    else if (box) plane.drawFront({ ...plane.marks, box: [box[0], plane.fromPointer(event)] });
    else follow(event);
  });
  front.addEventListener("pointerup", (event) => {
    pointers.delete(event.pointerId);
    const place = plane.fromPointer(event);
    if (pointers.size || pinched) return;
    if (box) explorer.select([box[0], place]);
    else explorer.clicked(place, event.pointerType === "mouse");
    box = null;
  });
  front.addEventListener("pointercancel", (event) => {
    pointers.delete(event.pointerId);
    box = null;
  });
  front.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    plane.zoom(Math.exp(event.deltaY / 100), plane.fromPointer(event));
  }, { passive: false });

  function follow(event) {
    if (explorer.playing || explorer.kept || explorer.tool === "select") return;
    explorer.goTo(explorer.codeOf(plane.fromPointer(event), explorer.z));
  }

  function pinch() {
    [box, pinched] = [null, true];
    const [a, b] = [...pointers.values()].map((each) => plane.fromPointer(each));
    const now = spread(pointers);
    if (apart) plane.zoom(apart / now, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
    apart = now;
  }
}

function spread(pointers) {
  if (pointers.size !== 2) return 0;
  const [a, b] = [...pointers.values()];
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}

function listenToKeys(explorer) {
  const { plane } = explorer;
  plane.front.addEventListener("keydown", (event) => {
    const place = explorer.placeOf(explorer.z);
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = 2 * plane.view.half * ARROW * (event.shiftKey ? 5 : 1);
      explorer.goTo(explorer.codeOf([place[0] + arrow[0] * step, place[1] + arrow[1] * step], explorer.z));
    } else if (event.key === "Enter" || event.key === " ") explorer.entered(place);
    else if (event.key === "+" || event.key === "=") plane.zoom(1 / 1.5);
    else if (event.key === "-") plane.zoom(1.5);
    else if (event.key === "0") resetView(plane);
    else if (event.key === "Escape") explorer.letGo();
    else return;
    event.preventDefault();
  });
}

function resetView(plane) {
  plane.reset();
  plane.changed();
}

function listenToChoices(explorer) {
  const { plane } = explorer;
  for (const radio of document.querySelectorAll("[name=tool]")) {
    radio.addEventListener("change", () => explorer.take(radio.value));
  }
  for (const radio of document.querySelectorAll("[name=behind]")) {
    radio.addEventListener("change", () => {
      plane.show.behind = radio.value;
      plane.drawBack();
    });
  }
  for (const what of ["codes", "contours"]) {
    byId(`show-${what}`).addEventListener("change", (event) => {
      plane.show[what] = event.target.checked;
      plane.drawBack();
    });
  }
  byId("zoom-in").addEventListener("click", () => plane.zoom(1 / 1.5, explorer.placeOf(explorer.z)));
  byId("zoom-out").addEventListener("click", () => plane.zoom(1.5));
  byId("zoom-reset").addEventListener("click", () => resetView(plane));
  byId("draw-code").addEventListener("click", () => explorer.drawFromPrior());
  DARK.addEventListener("change", () => explorer.repaint());
}

function listenToWalk(explorer) {
  byId("play").addEventListener("click", () => (explorer.playing ? explorer.pause() : explorer.play()));
  byId("progress").addEventListener("input", (event) => {
    explorer.pause();
    explorer.goTo(explorer.alongWalk(Number(event.target.value)));
  });
}

function listenToDrawing(explorer) {
  const { page } = explorer;
  const drawing = new Drawing({ pad: byId("pad"), shape: page.image, changed: () => show() });
  const card = byId("drawing");
  const coloured = page.image[2] > 1;
  byId("colour-choice").hidden = !coloured;
  byId("centre").checked = drawing.centred = !coloured;

  function show() {
    if (drawing.empty) return explorer.forgetDrawing();
    explorer.showDrawing(drawing.pixels());
  }
  async function take(file) {
    try {
      drawing.place(await createImageBitmap(file));
    } catch {
      byId("verdict").textContent = "This file is no image that the browser can read.";
    }
  }
  byId("clear").addEventListener("click", () => {
    drawing.clear();
    show();
  });
  byId("file").addEventListener("change", (event) => {
    if (event.target.files.length) take(event.target.files[0]);
    event.target.value = "";
  });
  for (const [id, name] of [["centre", "centred"], ["invert", "inverted"]]) {
    byId(id).addEventListener("change", (event) => {
      drawing[name] = event.target.checked;
      show();
    });
  }
  byId("colour").addEventListener("input", (event) => (drawing.colour = event.target.value));
  // Dropped anywhere: a browser would leave the page for the image.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    card.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => card.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    card.classList.remove("dropping");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

// What depends on the run: its name, its classes, a slider for each further axis.
function furnish(explorer) {
  const { page } = explorer;
  byId("title").textContent = page.title;
  byId("about").textContent = page.about;
  byId("density-choice").hidden = !page.space.density;
  byId("lines").textContent = linesOf(page.space);
  furnishLegend(explorer);
  if (page.categories.read) furnishCategories(explorer);
  if (page.space.axes.length > 2) furnishSliders(explorer);
}

function linesOf({ contours, prior }) {
  const shares = contours ? contours.map(({ mass }) => Math.round(100 * mass)).reverse() : [50, 90, 99];
  const last = shares.pop();
  const all = shares.length ? `${shares.join(", ")} and ${last}` : last;
  return `Lines: regions that hold ${all} % of the prior (${prior}).`;
}

function furnishLegend({ page, nameOf }) {
  const labels = [...new Set(page.codes.map(({ label }) => label))].sort((a, b) => a - b);
  if (labels.length === 1 && labels[0] < 0) return;
  byId("legend").replaceChildren(...labels.slice(0, 40).map((label) => {
    const item = document.createElement("li");
    const dot = document.createElement("i");
    dot.style.background = classColour(page, label);
    item.append(dot, nameOf.call({ page }, label) || "unlabelled");
    return item;
  }));
}

function furnishCategories(explorer) {
  const { count, word } = explorer.page.categories;
  const box = byId("categories");
  const indices = Array.from({ length: count }, (_, index) => index);
  box.hidden = byId("styles").hidden = false;
  box.querySelector("legend").textContent = `${word} that the decoder is told`;
  box.querySelector("div").replaceChildren(...indices.map((index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.value = String(index);
    button.textContent = explorer.nameOfCategory(index);
    button.addEventListener("click", () => explorer.goTo(explorer.z, index));
    return button;
  }));
  const styles = byId("styles");
  styles.querySelector("p").textContent = `The same style in each ${word}:`;
  styles.querySelector(".strip").replaceChildren(...indices.slice(0, MOST_STYLES).map((index) => {
    const canvas = newCanvas(1, 1);
    canvas.className = "image";
    return framed(canvas, explorer.nameOfCategory(index));
  }));
}

function furnishSliders(explorer) {
  const { names, low, high } = explorer.page.space;
  const box = byId("sliders");
  box.hidden = false;
  box.querySelector("summary").textContent = "Beyond the plane";
  box.querySelector("div").replaceChildren(...names.slice(2).map((name, index) => {
    const label = document.createElement("label");
    const slider = document.createElement("input");
    const axis = index + 2;
    Object.assign(slider, { type: "range", name: String(axis), min: low[axis], max: high[axis], step: "any" });
    slider.addEventListener("input", () => explorer.moveAlong(axis, Number(slider.value)));
    label.append(name, slider);
    return label;
  }));
}

const explorer = new Explorer(readPage());
furnish(explorer);
listenToPlane(explorer);
listenToKeys(explorer);
listenToChoices(explorer);
listenToWalk(explorer);
listenToDrawing(explorer);
explorer.forgetDrawing();
explorer.take("move");
