"use strict";
// A pad to draw on, or to drop an image on, and the image that the encoder reads from it.

const PAD = 12; // canvas pixels of the pad for each pixel of an image, at most
const PAD_SIDE = 560;

class Drawing {
  constructor({ pad, shape, changed }) {
    this.pad = pad;
    [this.height, this.width, this.channels] = shape;
    const scale = Math.max(1, Math.min(PAD, Math.floor(PAD_SIDE / Math.max(this.height, this.width))));
    pad.width = this.width * scale;
    pad.height = this.height * scale;
    this.context = pad.getContext("2d", { willReadFrequently: true });
    this.changed = changed;
    this.colour = "#ffffff";
    this.centred = true;
    this.inverted = false;
    this.clear();
    this.listen();
  }

  listen() {
    let last = null;
    const place = (event) => {
      const box = this.pad.getBoundingClientRect();
      return [
        ((event.clientX - box.left) / box.width) * this.pad.width,
        ((event.clientY - box.top) / box.height) * this.pad.height,
      ];
    };
    this.pad.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.pad.setPointerCapture(event.pointerId);
      last = place(event);
      this.stroke(last, last);
    });
    this.pad.addEventListener("pointermove", (event) => {
      if (!last) return;
      const next = place(event);
      this.stroke(last, next);
      last = next;
    });
    for (const end of ["pointerup", "pointercancel"]) this.pad.addEventListener(end, () => (last = null));
  }

  clear() {
    this.context.fillStyle = "#000000";
    this.context.fillRect(0, 0, this.pad.width, this.pad.height);
    this.empty = true;
  }

  stroke([x, y], [toX, toY]) {
    this.empty = false;
    Object.assign(this.context, {
      strokeStyle: this.colour,
      lineWidth: Math.max(this.pad.width, this.pad.height) * 0.085,
      lineCap: "round",
    });
    this.context.beginPath();
    this.context.moveTo(x, y);
    this.context.lineTo(toX, toY);
    this.context.stroke();
    this.changed();
  }

  // An image, whole, in the middle of the pad.
  place(bitmap) {
    this.clear();
    const scale = Math.min(this.pad.width / bitmap.width, this.pad.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(bitmap, (this.pad.width - width) / 2, (this.pad.height - height) / 2, width, height);
    this.empty = false;
    this.changed();
  }

  // Pixels in [0, 1] as the encoder reads them.
  pixels() {
    const { width, height } = this.pad;
    const { data } = this.context.getImageData(0, 0, width, height);
    const source = { data: this.inverted ? data.map((value) => 255 - value) : data, width, height };
    const colours = averaged(source, this.regionOf(source), this.height, this.width);
    if (this.channels > 1) return colours;
    return Float32Array.from({ length: this.height * this.width }, (_, i) =>
      0.299 * colours[3 * i] + 0.587 * colours[3 * i + 1] + 0.114 * colours[3 * i + 2]);
  }

  // What of the pad is seen: all of it, or what puts the ink into a box of 20/28 of the
  // side and its centre of mass in the middle, as the digits of MNIST are.
  regionOf(source) {
    const ink = this.centred ? inkOf(source) : null;
    if (!ink) return { left: 0, top: 0, width: source.width, height: source.height };
    const scale = (Math.max(ink.width, ink.height) * 28) / (20 * Math.min(this.width, this.height));
    const [width, height] = [this.width * scale, this.height * scale];
    return { left: ink.x - width / 2, top: ink.y - height / 2, width, height };
  }
}

// The mean of each colour over each cell of a region, in [0, 1]; black beyond the source.
function averaged({ data, width, height }, region, rows, columns) {
  const means = new Float32Array(rows * columns * 3);
  const across = coverage(region.left, region.width / columns, columns, width);
  const down = coverage(region.top, region.height / rows, rows, height);
  down.forEach((lines, row) => {
    across.forEach((dots, column) => {
      const at = 3 * (row * columns + column);
      for (const [y, high] of lines) {
        for (const [x, wide] of dots) {
          const from = 4 * (y * width + x);
          for (let c = 0; c < 3; c++) means[at + c] += (high * wide * data[from + c]) / 255;
        }
      }
    });
  });
  return means;
}

// For each of n cells in a row: which of the pixels it covers, and how much of it each is.
function coverage(start, step, n, most) {
  return Array.from({ length: n }, (_, cell) => {
    const [from, to] = [start + cell * step, start + (cell + 1) * step];
    const covered = [];
    for (let at = Math.max(0, Math.floor(from)); at < Math.min(most, to); at++) {
      covered.push([at, (Math.min(to, at + 1) - Math.max(from, at)) / step]);
    }
    return covered;
  });
}

// The size of the box around what is brighter than a tenth, and the centre of its mass.
function inkOf({ data, width, height }) {
  let [left, right, top, bottom, mass, x, y] = [width, -1, height, -1, 0, 0, 0];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = 4 * (row * width + column);
      const light = (data[at] + data[at + 1] + data[at + 2]) / 765;
      if (light < 0.1) continue;
      left = Math.min(left, column);
      right = Math.max(right, column);
      top = Math.min(top, row);
      bottom = Math.max(bottom, row);
      mass += light;
      x += light * (column + 0.5);
      y += light * (row + 0.5);
    }
  }
  if (!mass) return null;
  return { x: x / mass, y: y / mass, width: right - left + 1, height: bottom - top + 1 };
}
