"use strict";
// What the page was given, and what its networks say of it.

function readPage() {
  const page = JSON.parse(byId("data").textContent);
  const { space, zDim } = page;
  const z = floatsOf(page.codes.z);
  const labels = page.codes.y ?? [];
  const categories = page.codes.category ?? [];
  page.codes = Array.from({ length: z.length / zDim }, (_, index) => {
    const code = z.subarray(index * zDim, (index + 1) * zDim);
    const [first, second] = coordinatesOf(code, space, 2);
    return {
      z: code,
      label: labels[index] ?? -1,
      category: categories[index] ?? -1,
      // Codes of one dimension are strewn over the height.
      point: [first, second ?? strewn(index) * (space.high[0] - space.low[0])],
    };
  });
  return page;
}

function coordinatesOf(z, { axes, origin }, most = axes.length) {
  return axes.slice(0, most).map((axis) => axis.reduce((sum, part, i) => sum + part * (z[i] - origin[i]), 0));
}

// Evenly spread over -0.4 to 0.4, each index always at the same place.
function strewn(index) {
  return 0.8 * (((index + 1) * 0.6180339887) % 1) - 0.4;
}

class Model {
  constructor(page) {
    this.page = page;
    this.encoder = networkOf(page.encoder);
    this.decoder = networkOf(page.decoder);
  }

  // What the networks say. `category`: its index, or the shares of all.
  decode(z, category) {
    const { read, count } = this.page.categories;
    if (!read) return this.decoder(z);
    const shares = Array.isArray(category)
      ? category
      : Array.from({ length: count }, (_, index) => (index === category ? 1 : 0));
    return this.decoder([...z, ...shares]);
  }

  encode(pixels) {
    const outputs = this.encoder(pixels);
    const n = outputs.length - this.page.zDim;
    const shares = n ? softmax(outputs.slice(0, n)) : null;
    let z = outputs.slice(n);
    const { heads } = this.page;
    if (heads) z = z.map((value, i) => value + shares.reduce((sum, share, k) => sum + share * heads[k][i], 0));
    return { z, shares };
  }

  // The code at a place of the plane that differs from another in the plane alone.
  codeOf(place, from) {
    const { axes } = this.page.space;
    const at = coordinatesOf(from, this.page.space, 2);
    return from.map((value, i) =>
      at.reduce((sum, coordinate, axis) => sum + (place[axis] - coordinate) * axes[axis][i], value));
  }

  placeOf(z) {
    const [first, second] = coordinatesOf(z, this.page.space, 2);
    return [first, second ?? 0];
  }

  // Whether two codes differ in the plane alone.
  inSamePlane(a, b) {
    return this.codeOf(this.placeOf(b), a).every((value, i) => Math.abs(value - b[i]) < 1e-3);
  }

  nameOf(label) {
    if (label < 0) return "";
    return this.page.classNames?.[label] ?? String(label);
  }

  nameOfCategory(index) {
    const { word, count } = this.page.categories;
    const named = word === "class" && this.page.classNames?.length === count;
    return named ? this.page.classNames[index] : String(index);
  }
}
