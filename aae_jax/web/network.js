"use strict";
// Networks as they come in the page: numbers packed as text, layers applied to one row.

function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function floatsOf(text) {
  return new Float32Array(bytesOf(text).buffer);
}

// A matrix [rows, columns] of whole numbers, each column with a unit of its own.
function matrixOf(packed) {
  const [rows, columns] = packed.shape;
  const bytes = bytesOf(packed.data);
  const units = floatsOf(packed.units);
  const values = new Float32Array(rows * columns);
  const middle = 1 << (packed.bits - 1);
  for (let i = 0; i < values.length; i++) {
    let whole;
    if (packed.bits === 16) {
      whole = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    } else { // 12 bits: two numbers in three bytes
      const at = (i >> 1) * 3;
      whole = i & 1
        ? (bytes[at + 1] >> 4) | (bytes[at + 2] << 4)
        : bytes[at] | ((bytes[at + 1] & 15) << 8);
    }
    values[i] = (whole - middle) * units[i % columns];
  }
  return values;
}

function denseLayer({ kernel, bias }) {
  const weights = matrixOf(kernel);
  const start = floatsOf(bias);
  const n = start.length;
  return (x) => {
    const on = indicesOf(x); // half of all units are off after a ReLU
    const y = Float64Array.from(start); // to add in doubles is faster
    let k = 0;
    for (; k + 4 <= on.length; k += 4) { // four rows at once: fewer loads of y
      const [a, b, c, d] = [x[on[k]], x[on[k + 1]], x[on[k + 2]], x[on[k + 3]]];
      const [p, q, r, s] = [on[k] * n, on[k + 1] * n, on[k + 2] * n, on[k + 3] * n];
      for (let j = 0; j < n; j++) {
        y[j] += a * weights[p + j] + b * weights[q + j] + c * weights[r + j] + d * weights[s + j];
      }
    }
    for (; k < on.length; k++) {
      for (let j = 0, at = on[k] * n; j < n; j++) y[j] += x[on[k]] * weights[at + j];
    }
    return y;
  };
}

// Maps of half the sides, of 4 x 4 kernels on every second pixel, zeros around:
// y[i, j, o] = bias[o] + sum of x[2i + a - 1, 2j + b - 1, c] kernel[a, b, c, o].
function convolutionLayer(layer) {
  const [height, width, inputs] = layer.inShape;
  const [rows, columns, outputs] = layer.outShape;
  const add = adder(layer, inputs, outputs);
  const start = repeated(floatsOf(layer.bias), rows * columns);
  return (x) => {
    const y = start.slice();
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        eachNeighbour(i, j, height, width, (pixel, tap) => add(x, pixel, y, i * columns + j, tap));
      }
    }
    return y;
  };
}

// Its adjoint: y[2i + a - 1, 2j + b - 1, o] = bias[o] + sum of x[i, j, c] kernel[a, b, c, o].
function transposedLayer(layer) {
  const [rows, columns, inputs] = layer.inShape;
  const [height, width, outputs] = layer.outShape;
  const add = adder(layer, inputs, outputs);
  const start = repeated(floatsOf(layer.bias), height * width);
  return (x) => {
    const y = start.slice();
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        eachNeighbour(i, j, height, width, (pixel, tap) => add(x, i * columns + j, y, pixel, tap));
      }
    }
    return y;
  };
}

function eachNeighbour(i, j, height, width, visit) {
  for (let a = 0; a < 4; a++) {
    const row = 2 * i + a - 1;
    if (row < 0 || row >= height) continue;
    for (let b = 0; b < 4; b++) {
      const column = 2 * j + b - 1;
      if (column >= 0 && column < width) visit(row * width + column, 4 * a + b);
    }
  }
}

// add(x, from, y, to, tap): y[to] += x[from] @ kernel[tap], each a pixel's channels.
function adder({ kernel }, inputs, outputs) {
  const weights = matrixOf(kernel);
  return (x, from, y, to, tap) => {
    const end = (to + 1) * outputs;
    for (let c = 0; c < inputs; c++) {
      const factor = x[from * inputs + c];
      if (factor === 0) continue;
      let at = (tap * inputs + c) * outputs;
      for (let k = to * outputs; k < end; k++) y[k] += factor * weights[at++];
    }
  };
}

function repeated(bias, times) {
  const y = new Float64Array(bias.length * times);
  for (let i = 0; i < y.length; i++) y[i] = bias[i % bias.length];
  return y;
}

function indicesOf(x) {
  const on = new Int32Array(x.length);
  let count = 0;
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) on[count++] = i;
  return on.subarray(0, count);
}

const LAYERS = {
  dense: denseLayer,
  convolution: convolutionLayer,
  transposed: transposedLayer,
  relu: () => (x) => x.map((value) => (value > 0 ? value : 0)),
  sigmoid: () => (x) => x.map((value) => 1 / (1 + Math.exp(-value))),
};

function networkOf(layers) {
  const steps = layers.map((layer) => LAYERS[layer.kind](layer));
  return (x) => steps.reduce((row, step) => step(row), Float32Array.from(x));
}

function softmax(logits) {
  const highest = Math.max(...logits);
  const shares = Array.from(logits, (logit) => Math.exp(logit - highest));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}
