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

function indicesOf(x) {
  const on = new Int32Array(x.length);
  let count = 0;
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) on[count++] = i;
  return on.subarray(0, count);
}

const LAYERS = {
  dense: denseLayer,
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
