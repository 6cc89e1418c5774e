"use strict";
// The square in which codes are seen: what lies behind, the codes, and the marks on them.

const GRID = 20; // images along each side of the decoded grid
const SLICE = 10; // milliseconds of decoding between two frames

class Plane {
  constructor({ back, front, page, decode }) {
    this.back = back;
    this.front = front;
    this.page = page;
    this.decode = decode; // (first, second) -> pixels of the code at that place
    this.show = { codes: true, contours: true, behind: "nothing" };
    this.points = page.codes.map((code) => code.point);
    this.density = page.space.density && densityImage(page.space.density);
    this.grid = null;
    this.reset();
    new ResizeObserver(() => this.resize()).observe(back);
  }

  reset() {
    const { low, high } = this.page.space;
    const second = low.length > 1 ? 1 : 0;
    const middle = (axis) => (low[axis] + high[axis]) / 2;
    const half = Math.max(high[0] - low[0], high[second] - low[second]) / 2;
    this.whole = half;
    this.view = { x: middle(0), y: low.length > 1 ? middle(1) : 0, half };
  }

  zoom(factor, around = [this.view.x, this.view.y]) {
    const half = Math.min(4 * this.whole, Math.max(this.whole / 200, this.view.half * factor));
    const kept = half / this.view.half;
    this.view = {
      x: around[0] + (this.view.x - around[0]) * kept,
      // Codes of one dimension have nothing above or below.
      y: this.page.zDim > 1 ? around[1] + (this.view.y - around[1]) * kept : 0,
      half,
    };
    this.changed();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const side = Math.max(1, Math.round(this.back.clientWidth * ratio));
    for (const canvas of [this.back, this.front]) canvas.width = canvas.height = side;
    this.ratio = ratio;
    this.drawBack();
    this.drawFront();
  }

  // Places in the plane to places on the canvas, and back.
  toCanvas([first, second]) {
    const scale = this.back.width / (2 * this.view.half);
    return [
      (first - this.view.x + this.view.half) * scale,
      (this.view.y + this.view.half - second) * scale,
    ];
  }

  fromPointer(event) {
    const box = this.front.getBoundingClientRect();
    const step = (2 * this.view.half) / box.width;
    return [
      this.view.x - this.view.half + (event.clientX - box.left) * step,
      this.view.y + this.view.half - (event.clientY - box.top) * step,
    ];
  }

  // The code that is drawn within `pixels` of a place; -1 where there is none.
  codeAt(place, pixels) {
    if (!this.show.codes) return -1;
    let least = ((pixels * 2 * this.view.half) / this.front.clientWidth) ** 2;
    let found = -1;
    this.points.forEach(([first, second], index) => {
      const distance = (first - place[0]) ** 2 + (second - place[1]) ** 2;
      if (distance < least) [least, found] = [distance, index];
    });
    return found;
  }

  changed() {
    this.grid = null;
    this.drawBack();
    this.drawFront();
  }

  // The chosen class, or a coordinate outside of the plane, is another one.
  staleGrid() {
    this.grid = null;
    if (this.show.behind === "grid") this.drawBack();
  }

  drawBack() {
    const context = this.back.getContext("2d");
    const side = this.back.width;
    context.clearRect(0, 0, side, side);
    if (this.show.behind === "density" && this.density) this.drawDensity(context);
    if (this.show.behind === "grid") this.drawGrid(context);
    if (this.show.contours) this.drawContours(context);
    if (this.show.codes) this.drawCodes(context);
  }

  drawDensity(context) {
    const { first, second } = this.page.space.density;
    const [left, bottom] = this.toCanvas([first[0], second[0]]);
    const [right, top] = this.toCanvas([first[1], second[1]]);
    context.imageSmoothingEnabled = true;
    context.drawImage(tinted(this.density, colourOf("--accent")), left, top, right - left, bottom - top);
  }

  drawGrid(context) {
    this.grid ??= this.decodeGrid();
    context.imageSmoothingEnabled = false;
    context.drawImage(this.grid, 0, 0, this.back.width, this.back.width);
  }

  // Fills a canvas from the middle outward, a slice of time at once.
  decodeGrid() {
    const [height, width] = this.page.image;
    const canvas = newCanvas(GRID * width, GRID * height);
    const context = canvas.getContext("2d");
    const middle = (GRID - 1) / 2;
    const cells = Array.from({ length: GRID * GRID }, (_, index) => [index % GRID, Math.floor(index / GRID)]);
    cells.sort((a, b) => Math.hypot(a[0] - middle, a[1] - middle) - Math.hypot(b[0] - middle, b[1] - middle));
    const { x, y, half } = this.view;
    const slice = () => {
      if (this.grid !== canvas) return; // another one is asked for
      const end = performance.now() + SLICE;
      while (cells.length && performance.now() < end) {
        const [column, row] = cells.shift();
        const place = [x + half * ((2 * column + 1) / GRID - 1), y + half * (1 - (2 * row + 1) / GRID)];
        context.putImageData(imageOf(this.decode(place), this.page.image), column * width, row * height);
      }
      this.drawBack();
      if (cells.length) requestAnimationFrame(slice);
      else canvas.dataset.whole = "true";
    };
    requestAnimationFrame(slice);
    return canvas;
  }

  drawContours(context) {
    context.strokeStyle = colourOf("--prior");
    context.lineWidth = 1.2 * this.ratio;
    const strokes = [[2, 3], [6, 4], []]; // from the rim, dotted, to the core
    const contours = this.page.space.contours ?? [];
    contours.forEach(({ lines }, index) => {
      const stroke = strokes[index + strokes.length - contours.length] ?? [];
      context.setLineDash(stroke.map((length) => length * this.ratio));
      for (const line of lines) this.trace(context, line);
    });
    (this.page.space.quantiles ?? []).forEach((at, index, all) => {
      const depth = Math.min(index, all.length - 1 - index);
      context.setLineDash(strokes[depth].map((length) => length * this.ratio));
      this.trace(context, [[at, this.view.y - this.view.half], [at, this.view.y + this.view.half]]);
    });
    context.setLineDash([]);
  }

  trace(context, line) {
    context.beginPath();
    line.forEach((place, index) => {
      const [x, y] = this.toCanvas(place);
      if (index) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.stroke();
  }

  drawCodes(context) {
    const radius = Math.min(4, Math.max(1.6, 90 / Math.sqrt(this.points.length))) * this.ratio;
    context.globalAlpha = 0.8;
    this.page.codes.forEach(({ point, label }) => {
      const [x, y] = this.toCanvas(point);
      context.fillStyle = classColour(this.page, label);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    });
    context.globalAlpha = 1;
  }

  // What changes with each move: the chosen place, a path, a box, a drawing's place.
  drawFront(marks = this.marks) {
    this.marks = marks;
    const context = this.front.getContext("2d");
    context.clearRect(0, 0, this.front.width, this.front.width);
    if (!marks) return;
    context.lineWidth = 2 * this.ratio;
    context.strokeStyle = colourOf("--accent");
    if (marks.path) this.trace(context, marks.path);
    for (const end of marks.path ?? []) this.ring(context, end, 4);
    if (marks.box) {
      const [a, b] = marks.box.map((place) => this.toCanvas(place));
      context.strokeRect(a[0], a[1], b[0] - a[0], b[1] - a[1]);
    }
    for (const place of marks.selected ?? []) this.ring(context, place, 4);
    if (marks.drawn) this.cross(context, marks.drawn);
    context.strokeStyle = colourOf("--card");
    context.lineWidth = 5 * this.ratio;
    this.ring(context, marks.place, 8);
    context.strokeStyle = colourOf("--ink");
    context.lineWidth = 2 * this.ratio;
    this.ring(context, marks.place, 8);
  }

  ring(context, place, radius) {
    const [x, y] = this.toCanvas(place);
    context.beginPath();
    context.arc(x, y, radius * this.ratio, 0, 2 * Math.PI);
    context.stroke();
  }

  cross(context, place) {
    const [x, y] = this.toCanvas(place);
    const arm = 9 * this.ratio;
    for (const [colour, width] of [["--card", 6], ["--accent", 3]]) {
      context.strokeStyle = colourOf(colour);
      context.lineWidth = width * this.ratio;
      context.beginPath();
      context.moveTo(x - arm, y - arm);
      context.lineTo(x + arm, y + arm);
      context.moveTo(x + arm, y - arm);
      context.lineTo(x - arm, y + arm);
      context.stroke();
    }
  }
}

function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

// Pixels in [0, 1], in rows of height, width and channels.
function imageOf(pixels, [height, width, channels]) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = Math.round(255 * pixels[i * channels + (channels > 1 ? c : 0)]);
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}

function showPixels(canvas, pixels, shape) {
  if (canvas.width !== shape[1] || canvas.height !== shape[0]) {
    [canvas.height, canvas.width] = shape;
  }
  canvas.getContext("2d").putImageData(imageOf(pixels, shape), 0, 0);
}

// Row 0 of the density has the lowest second coordinate; a canvas begins at the top.
function densityImage({ shape: [rows, columns], data }) {
  const bytes = bytesOf(data);
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      image.data[4 * ((rows - 1 - row) * columns + column) + 3] = bytes[row * columns + column];
    }
  }
  const canvas = newCanvas(columns, rows);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function tinted(mask, colour) {
  const canvas = newCanvas(mask.width, mask.height);
  const context = canvas.getContext("2d");
  context.globalAlpha = 0.7;
  context.drawImage(mask, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.globalAlpha = 1;
  context.fillStyle = colour;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const DARK = matchMedia("(prefers-color-scheme: dark)");

function classColour(page, label) {
  if (label < 0) return "#8c8c8c";
  const colour = page.colours[label % page.colours.length];
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const light = (0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2]) / 255;
  if (!DARK.matches || light > 0.35) return colour;
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * 0.45)).join(" ")})`;
}
