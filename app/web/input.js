"use strict";
// From keys and fingers to actions; the same rules as app/keys.py.

const NOOP = 0, FIRE = 1, RIGHT = 2, LEFT = 3;
const ACTIONS = { left: LEFT, right: RIGHT, fire: FIRE };
// Pixels that a finger may be off, and that a step of a key moves the paddle by; the columns that its middle can have.
const SLACK = 4, PUSH = 5, REACH = [16, 152];
const NAMES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", " ": "space", Enter: "return" };

/** The name of a key as assets/keys.toml has it. A letter of another script stands for its place on a US keyboard. */
function keyName(event) {
  if (event.key in NAMES) return NAMES[event.key];
  const key = event.key.toLowerCase();
  const place = /^Key([A-Z])$/.exec(event.code);
  return key.length === 1 && key.charCodeAt(0) > 127 && place ? place[1].toLowerCase() : key;
}

/**
 * What is held, tapped or pointed at. The key pressed last wins. A tap that is over before the step still counts once.
 * FIRE acts once on its press and then gives way to a direction. A finger on the picture steers while no key does.
 */
class Held {
  constructor() {
    this.down = new Map();
    this.releaseAll();
  }

  press(key, action) {
    this.down.delete(key);
    this.down.set(key, action);
    if (action === FIRE) this.fired = true;
    else [this.tapped, this.aim] = [action, null];
  }

  release(key) {
    this.down.delete(key);
  }

  /** Steer the paddle's middle to a column 0..160. */
  point(column) {
    this.aim = column;
  }

  releaseAll() {
    this.down.clear();
    this.forgetTaps();
    this.aim = this.paddle = null;
    this.last = NOOP;
  }

  forgetTaps() {
    this.tapped = null;
    this.fired = false;
  }

  /** The action for the next step; `paddle` is the column of the paddle's middle. */
  take(paddle) {
    const glide = this.paddle === null ? 0 : paddle - this.paddle;
    this.paddle = paddle;
    return (this.last = this.choose(paddle + glide));
  }

  /** `glides`: where the paddle would come to rest if the key of the last step, which does not show yet, did nothing. */
  choose(glides) {
    if (this.fired) {
      this.fired = false;
      return FIRE;
    }
    const tapped = this.tapped;
    this.tapped = null;
    if (tapped !== null) return tapped;
    const moves = [...this.down.values()].filter((action) => action !== FIRE);
    if (moves.length) return moves[moves.length - 1];
    if (this.aim !== null) {
      const pushed = this.last === RIGHT ? PUSH : this.last === LEFT ? -PUSH : 0;
      const off = Math.min(Math.max(this.aim, REACH[0]), REACH[1]) - glides - pushed;
      if (Math.abs(off) > SLACK) return off > 0 ? RIGHT : LEFT;
    }
    return this.down.size ? FIRE : NOOP;
  }
}
