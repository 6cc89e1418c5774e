"use strict";
// The page: what is chosen, and everything that follows from it.

const STEPS_OF_WALK = 11;
const SECONDS_OF_WALK = 4;
const MOST_SELECTED = 120;
const MOST_STYLES = 30;
const HINTS = {
  move: "Each place under the pointer is decoded; arrow keys move too. A click holds a place, or the code that is there, and a click on it lets go.",
  walk: "Click, or press Enter, at two places: a walk leads from the first to the second.",
  select: "Drag a box, or press Enter at two corners: the images of the codes inside are shown.",
};

const byId = (id) => document.getElementById(id);

class Explorer extends Model {
  constructor(page) {
    super(page);
    this.draws = floatsOf(page.space.draws);
    this.sheet = new Image();
    this.category = 0;
    this.tool = "move";
    this.kept = false; // whether the pointer has let go of the code
    this.start = null; // the code from which a walk, or the place from which a box begins
    this.marks = {};
    this.plane = new Plane({
      back: byId("back"),
      front: byId("front"),
      page,
      decode: (place) => this.decode(this.codeOf(place, this.z), this.category),
    });
    this.z = Float32Array.from(page.space.origin);
    this.sheet.onload = () => this.chosen();
    this.sheet.src = page.images.png;
  }

  goTo(z, category = this.category) {
    const before = this.z;
    const other = category !== this.category;
    this.z = Float32Array.from(z);
    this.category = category;
    if (other || !this.inSamePlane(before, this.z)) this.plane.staleGrid();
    this.chosen();
  }

  goToCode(index) {
    const { z, category } = this.page.codes[index];
    this.goTo(z, category < 0 ? this.category : category);
  }

  moveAlong(axis, to) {
    const { axes } = this.page.space;
    const from = coordinatesOf(this.z, this.page.space)[axis];
    this.kept = true;
    this.goTo(this.z.map((value, i) => value + (to - from) * axes[axis][i]));
  }

  drawFromPrior() {
    const { zDim, categories } = this.page;
    const at = Math.floor((Math.random() * this.draws.length) / zDim) * zDim;
    const category = Math.floor(Math.random() * categories.count);
    this.kept = true;
    this.goTo(this.draws.subarray(at, at + zDim), categories.read ? category : this.category);
  }

  take(tool) {
    this.tool = tool;
    byId("hint").textContent = HINTS[tool];
    this.letGo();
  }

  letGo() {
    this.pause();
    this.kept = false;
    this.start = null;
    this.marks = { drawn: this.marks.drawn };
    this.chosen();
  }

  // A click: of a mouse, which may leave and come back, or of a finger.
  clicked(place, byMouse) {
    const index = this.plane.codeAt(place, NEAR);
    if (this.tool === "move") {
      const held = this.plane.toCanvas(this.placeOf(this.z));
      const here = this.plane.toCanvas(place);
      const again = Math.hypot(held[0] - here[0], held[1] - here[1]) < NEAR * this.plane.ratio;
      if (this.kept && again) return this.letGo();
      this.kept = byMouse;
    }
    if (index >= 0) this.goToCode(index);
    else this.goTo(this.codeOf(place, this.z));
    if (this.tool === "walk") this.setEnd();
  }

  // Enter or space at the chosen code.
  entered(place) {
    if (this.tool === "walk") this.setEnd();
    else if (this.tool === "move") this.kept = !this.kept;
    else if (this.start) {
      this.select([this.start, place]);
      this.start = null;
    } else this.start = place;
  }

  setEnd() {
    this.pause();
    if (!this.start) {
      this.start = this.z;
      this.marks = { ...this.marks, path: [this.placeOf(this.z)] };
      return;
    }
    this.walk(this.start, this.z);
    this.start = null;
  }

  repaint() {
    furnishLegend(this);
    this.plane.changed();
  }

  // A drawing of a person: its code, and what comes back.
  showDrawing(pixels) {
    const { z, shares } = this.encode(pixels);
    const { read, inferred } = this.page.categories;
    const likeliest = shares ? shares.indexOf(Math.max(...shares)) : this.category;
    const returned = this.decode(z, read && inferred ? shares : this.category);
    showPixels(byId("seen"), pixels, this.page.image);
    showPixels(byId("returned"), returned, this.page.image);
    const error = pixels.reduce((sum, pixel, i) => sum + (pixel - returned[i]) ** 2, 0) / pixels.length;
    this.showShares(shares);
    this.marks = { ...this.marks, drawn: this.placeOf(z) };
    this.kept = true;
    this.goTo(z, inferred && read ? likeliest : this.category);
    byId("verdict").textContent = `Squared error a pixel: ${error.toFixed(4)}. The cross marks its code.`;
  }

  showShares(shares) {
    const rows = (shares ?? []).map((share, index) => [share, index]).sort((a, b) => b[0] - a[0]).slice(0, 5);
    byId("shares").replaceChildren(...rows.map(([share, index]) => {
      const row = document.createElement("div");
      const bar = document.createElement("i");
      bar.style.width = `${100 * share}%`;
      const name = document.createElement("span");
      name.textContent = this.nameOfCategory(index);
      const per = document.createElement("span");
      per.textContent = `${(100 * share).toFixed(1)} %`;
      row.append(name, bar, per);
      return row;
    }));
  }

  forgetDrawing() {
    const { image } = this.page;
    const black = new Float32Array(image[0] * image[1] * image[2]);
    for (const id of ["seen", "returned"]) showPixels(byId(id), black, image);
    byId("verdict").textContent = "";
    byId("shares").replaceChildren();
    this.marks = { ...this.marks, drawn: undefined };
    this.chosen();
  }

  // Shows what is chosen in the next frame, once however often it changed.
  chosen() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.showChosen();
    });
  }

  showChosen() {
    const began = performance.now();
    const pixels = this.decode(this.z, this.category);
    const took = performance.now() - began;
    this.took = this.took ? 0.9 * this.took + 0.1 * took : took;
    showPixels(byId("decoded"), pixels, this.page.image);
    byId("speed").textContent = `A code is decoded in ${this.took.toFixed(1)} ms, in this page: nothing is sent anywhere.`;
    this.showNearest();
    this.showPlace();
    this.showControls();
    this.plane.drawFront({ ...this.marks, place: this.placeOf(this.z) });
  }

  showNearest() {
    const { read } = this.page.categories;
    let [least, found] = [Infinity, 0];
    this.page.codes.forEach(({ z, category }, index) => {
      // Where the class is chosen apart, those of others tell nothing.
      let distance = read && category !== this.category ? 1e30 : 0;
      for (let i = 0; i < z.length; i++) distance += (z[i] - this.z[i]) ** 2;
      if (distance < least) [least, found] = [distance, index];
    });
    this.showImage(byId("nearest"), found);
    const name = this.nameOf(this.page.codes[found].label);
    byId("nearest-name").textContent = `nearest test image${name ? `, ${name}` : ""}`;
  }

  showPlace() {
    const values = Array.from(this.z.slice(0, 4), (value) => value.toFixed(2));
    const more = this.z.length > 4 ? ", \u2026" : "";
    byId("place").textContent = `code (${values.join(", ")}${more})${this.inPrior()}`;
  }

  // Which share of the prior lies in the smallest of its regions that holds the place.
  inPrior() {
    const { density, contours } = this.page.space;
    if (!density || this.page.zDim > 2) return "";
    const [row, column] = ["second", "first"].map((side, index) => {
      const [from, to] = density[side];
      const at = coordinatesOf(this.z, this.page.space)[1 - index];
      return Math.round(((at - from) / (to - from)) * (density.shape[index] - 1));
    });
    const inside = row >= 0 && column >= 0 && row < density.shape[0] && column < density.shape[1];
    this.bytes ??= bytesOf(density.data);
    const here = inside ? this.bytes[row * density.shape[1] + column] : -1;
    const region = contours.findLast(({ byte }) => here >= byte);
    if (!region) return ", outside of the prior";
    return `, inside the prior's ${Math.round(100 * region.mass)} %`;
  }

  showImage(canvas, index) {
    const [height, width] = this.page.image;
    const { columns } = this.page.images;
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").drawImage(
      this.sheet, (index % columns) * width, Math.floor(index / columns) * height, width, height, 0, 0, width, height);
  }

  // What follows the chosen code when the pointer rests: other classes, sliders.
  showControls() {
    for (const button of document.querySelectorAll("#categories button")) {
      button.setAttribute("aria-pressed", String(Number(button.value) === this.category));
    }
    const places = coordinatesOf(this.z, this.page.space);
    for (const slider of document.querySelectorAll("#sliders input")) {
      slider.value = String(places[Number(slider.name)]);
    }
    if (!this.page.categories.read) return;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.showStyles(), 40);
  }

  showStyles() {
    document.querySelectorAll("#styles canvas").forEach((canvas, index) => {
      showPixels(canvas, this.decode(this.z, index), this.page.image);
    });
  }

  walk(from, to) {
    this.path = { from, to };
    byId("walk").hidden = false;
    const strip = document.querySelector("#walk .strip");
    strip.replaceChildren(...Array.from({ length: STEPS_OF_WALK }, (_, index) => {
      const canvas = newCanvas(1, 1);
      canvas.className = "image";
      showPixels(canvas, this.decode(this.alongWalk(index / (STEPS_OF_WALK - 1)), this.category), this.page.image);
      return framed(canvas);
    }));
    this.marks = { ...this.marks, path: [this.placeOf(from), this.placeOf(to)] };
    byId("progress").value = "0";
    this.goTo(from);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.play();
  }

  alongWalk(share) {
    const { from, to } = this.path;
    return from.map((value, i) => value + share * (to[i] - value));
  }

  play() {
    const progress = byId("progress");
    const first = Number(progress.value) >= 1 ? 0 : Number(progress.value);
    const began = performance.now();
    this.playing = true;
    byId("play").textContent = "Pause";
    const step = (now) => {
      if (!this.playing) return;
      const share = Math.min(1, Math.max(0, first + (now - began) / (1000 * SECONDS_OF_WALK)));
      progress.value = String(share);
      this.goTo(this.alongWalk(share));
      if (share < 1) requestAnimationFrame(step);
      else this.pause();
    };
    requestAnimationFrame(step);
  }

  pause() {
    this.playing = false;
    byId("play").textContent = "Play";
  }

  select([a, b]) {
    const between = (value, one, other) => value >= Math.min(one, other) && value <= Math.max(one, other);
    const found = this.page.codes.flatMap(({ point }, index) =>
      between(point[0], a[0], b[0]) && between(point[1], a[1], b[1]) ? [index] : []);
    const shown = found.slice(0, MOST_SELECTED);
    byId("selection").hidden = false;
    document.querySelector("#selection h2").textContent =
      `${found.length.toLocaleString("en")} ${found.length === 1 ? "code" : "codes"} in the box`;
    document.querySelector("#selection p").textContent = this.countsOf(found, shown);
    document.querySelector("#selection .gallery").replaceChildren(...shown.map((index) => {
      const button = document.createElement("button");
      const canvas = newCanvas(1, 1);
      canvas.className = "image";
      button.type = "button";
      button.setAttribute("aria-label", `image ${index} ${this.nameOf(this.page.codes[index].label)}`);
      this.showImage(canvas, index);
      button.append(canvas);
      button.addEventListener("click", () => this.goToCode(index));
      return button;
    }));
    this.marks = { ...this.marks, box: [a, b] };
    this.chosen();
  }

  // How many of each class are found, and that not all of them are shown.
  countsOf(found, shown) {
    const counts = new Map();
    for (const index of found) {
      const name = this.nameOf(this.page.codes[index].label) || "unlabelled";
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name}: ${count}`);
    if (this.page.codes.every(({ label }) => label < 0)) parts.length = 0;
    if (shown.length < found.length) parts.push(`${shown.length} are shown`);
    return parts.join(", ");
  }
}

function framed(canvas, name) {
  const figure = document.createElement("figure");
  figure.append(canvas);
  if (name === undefined) return figure;
  const caption = document.createElement("figcaption");
  caption.textContent = name;
  figure.append(caption);
  return figure;
}
