"use strict";
// A dreamt game, and the pace at which it is played.

const LIVES = 3, PADDLE = 2, WIDTH = 3; // columns of board and of objects, as in model/state.py

class Game {
  constructor(engine, info) {
    [this.engine, this.info] = [engine, info];
    this.due = info.variables.findIndex((variable) => variable.name === "life_due");
    this.restart();
  }

  restart() {
    this.state = this.engine.start;
    this.codes = new Array(35).fill(0);
    this.steps = 0;
    this.served = false;
  }

  /** One step of the dream with an action 0..3. */
  async step(action) {
    const { engine, state } = this;
    const guess = await engine.predict(state, action);
    const next = await engine.advance(state, action, guess);
    if (this.state !== state) return; // a new game has begun meanwhile
    [this.state, this.codes] = [next, Array.from(guess.codes.data, Number)];
    this.steps += 1;
    this.served ||= action === FIRE;
  }

  /** Classes 0..8 of the 210 x 160 pixels, row by row. */
  get frame() {
    return this.state.frame.data;
  }

  get score() {
    const [hundreds, tens, ones] = this.state.board.data;
    return Number(hundreds) * 100 + Number(tens) * 10 + Number(ones);
  }

  /** The emulator takes a life a frame before the digit shows it; the twin remembers that it is due. */
  get lives() {
    return Number(this.state.board.data[LIVES]) - (this.state.memory.data[this.due] === 2n ? 1 : 0);
  }

  get over() {
    return this.lives <= 0;
  }

  /** The column of the paddle's middle. */
  get paddle() {
    const newest = this.state.objects.data.slice(-4);
    return Number(newest[PADDLE]) + Number(newest[WIDTH]) / 2;
  }

  /** What the twin remembers that no frame shows: [name, text, certainty 0..1] of each variable. */
  get remembers() {
    const { memory, certainty } = this.state;
    return this.info.variables.map(({ name, classes }, i) => [name, classes[Number(memory.data[i])], certainty.data[i]]);
  }
}

/** When the next step is due. A step that was missed is dropped, never caught up on; as app/clock.py. */
class Pace {
  constructor(rate) {
    [this.rate, this.speed, this.ends, this.costs] = [rate, 1, [], []];
    this.start(performance.now());
  }

  get period() {
    return 1000 / (this.rate * this.speed);
  }

  start(now) {
    this.next = now;
    this.ends = [];
  }

  /** Whether a step is due. A screen's frames come a little early or late: a quarter of a step is near enough. */
  isDue(now) {
    return now >= this.next - this.period / 4;
  }

  begin(now) {
    if (now - this.next > this.period) this.next = now;
    this.next += this.period;
  }

  end(began, now) {
    this.costs = [...this.costs.slice(-59), now - began];
    this.ends = [...this.ends.filter((end) => now - end < 2000), now];
  }

  /** Steps a second over the last two seconds. */
  get measured() {
    const { ends } = this;
    return ends.length < 2 ? 0 : (1000 * (ends.length - 1)) / (ends[ends.length - 1] - ends[0]);
  }

  /** Median milliseconds that a step takes. */
  get cost() {
    return [...this.costs].sort((a, b) => a - b)[this.costs.length >> 1] || 0;
  }
}

/** CRC-32 of bytes, as zlib has it: tests compare frames with Python's by it. */
function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
