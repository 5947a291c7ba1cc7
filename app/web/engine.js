"use strict";
// The twin in the browser: the same graphs and weights as model/engine.py, run by onnxruntime-web.
//
// A state is an object of tensors, a batch of one game: frame (1, 210, 160) uint8 classes, objects (1, 4, 4) int64,
// wall (1, 6, 18) uint8, board (1, 4) int64, memory (1, V) int64, certainty (1, V) float32. int64 is BigInt64Array.
// Nothing is changed in place: a step gives a new state.

const KINDS = { uint8: Uint8Array, int64: BigInt64Array, float32: Float32Array };

/** A tensor from plain numbers (or typed ones of its kind). */
function tensor(kind, values, shape) {
  const numbers = kind === "int64" ? Array.from(values, BigInt) : values;
  return new ort.Tensor(kind, KINDS[kind].from(numbers), shape);
}

/** What a file of parts/ holds: base64 of gzip -> bytes. */
async function unpack(text) {
  const letters = atob(text), packed = new Uint8Array(letters.length);
  for (let i = 0; i < packed.length; i++) packed[i] = letters.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Engine {
  /** `parts`: name -> base64 of gzip, as build wrote them; `info`: what it says of the twin. */
  static async load(parts, info) {
    const names = ["runtime.wasm", "runtime.mjs", "predict.onnx", "advance.onnx", "frame"];
    const bytes = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await unpack(parts[name])])));
    // One thread: more need headers that a plain file server does not send, and the graphs are too small to gain by it.
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = bytes["runtime.wasm"].buffer;
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([bytes["runtime.mjs"]], { type: "text/javascript" })) };
    ort.env.logLevel = "error";
    const engine = new Engine();
    const options = { graphOptimizationLevel: "basic" }; // more takes longer to load than it saves
    engine.predictGraph = await ort.InferenceSession.create(bytes["predict.onnx"], options);
    engine.advanceGraph = await ort.InferenceSession.create(bytes["advance.onnx"], options);
    engine.noise = tensor("float32", new Float32Array(info.noise.reduce((a, b) => a * b)), info.noise);
    engine.start = { frame: tensor("uint8", bytes.frame, [1, info.rows, info.columns]) };
    for (const [name, { kind, shape, values }] of Object.entries(info.start)) {
      engine.start[name] = tensor(kind, values, shape);
    }
    return engine;
  }

  /** The next step for an action 0..3: { codes, drawn, ball, paddle, told, bricks }, tensors. Changes nothing. */
  predict(state, action) {
    const given = { ...state, action: tensor("int64", [action], [1]), noise: this.noise };
    const wanted = ["codes", "drawn", "ball", "paddle", "told", "bricks"];
    return this.predictGraph.run(pick(given, this.predictGraph.inputNames), wanted);
  }

  /** The state one step later: `action` led to the frame that `guess`, of `predict`, has drawn. */
  async advance(state, action, guess) {
    const expected = [...guess.ball.data, ...guess.paddle.data];
    const given = {
      ...state,
      action: tensor("int64", [action], [1]),
      next_frame: guess.drawn,
      expected: tensor("int64", expected, [1, expected.length]),
      told: guess.told,
      bricks: guess.bricks,
    };
    const after = await this.advanceGraph.run(pick(given, this.advanceGraph.inputNames));
    const next = { frame: guess.drawn };
    for (const [name, value] of Object.entries(after)) next[name.replace("next_", "")] = value;
    return next;
  }
}

function pick(given, names) {
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}
