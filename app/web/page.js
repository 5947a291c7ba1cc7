"use strict";
// The page: loads the twin, paints it, and listens to keys, buttons and fingers.

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4];
const TELEVISION = 4 / 3, STRETCH = 0.16; // as app/style.py: whole multiples of the game's pixels near 4:3
const BUDGET = 12; // milliseconds of steps in one frame of the screen, at a speed above 1
const LOW = 480; // pixels: on a lower screen, a phone on its side, the memory is not shown until it is asked for
const SEEN = 1000; // milliseconds for which the end of a game stays, whatever is touched
const PARTS = ["runtime.wasm", "runtime.mjs", "predict.onnx", "advance.onnx", "frame"];
const find = (name) => document.getElementById(name);

const parts = {};
/** Each file of parts/ calls this with what it holds. */
function addPart(name, text) {
  parts[name] = text;
}

class Page {
  constructor(game, info) {
    [this.game, this.info] = [game, info];
    this.held = new Held();
    this.pace = new Pace(info.stepsPerSecond);
    this.paused = this.busy = this.showsCodes = this.gone = this.helps = false;
    this.palette = new Uint32Array(info.palette.map(([r, g, b]) => 0xff000000 | (b << 16) | (g << 8) | r));
    this.context = find("screen").getContext("2d");
    this.image = this.context.createImageData(info.columns, info.rows);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.commands = {
      pause: () => this.pause(!this.paused),
      single: () => this.single(),
      restart: () => this.restart(),
      slower: () => this.change(-1),
      faster: () => this.change(1),
      grid: () => this.toggle("showsCodes", "codes"),
      memory: () => this.remember(!document.body.classList.contains("remembers")),
      help: () => {
        this.helps = document.body.classList.toggle("helps");
        this.pause(this.paused); // time stood still: it goes on from here
      },
      fullscreen: () => (document.fullscreenElement ? document.exitFullscreen() : document.body.requestFullscreen()),
    };
    this.rows = info.variables.map(({ name }) => this.row(name));
    this.listen();
    this.remember(innerHeight > LOW);
    this.paint();
  }

  // --- what runs ---

  /** One frame of the screen: the steps that are due, then the picture. */
  async tick() {
    if (!this.game.over) this.alive = performance.now();
    if (!this.paused && !this.helps && !this.busy && !this.game.over) await this.advance();
    requestAnimationFrame(() => this.tick());
  }

  async advance() {
    const first = performance.now();
    this.busy = true;
    let now = first, stepped = false;
    while (this.pace.isDue(first) && now - first < BUDGET && !this.game.over) {
      this.pace.begin(first);
      await this.game.step(this.held.take(this.game.paddle));
      const after = performance.now();
      this.pace.end(now, after);
      [now, stepped] = [after, true];
    }
    this.busy = false;
    if (stepped) this.paint();
  }

  pause(paused) {
    this.paused = paused;
    this.held.forgetTaps();
    this.pace.start(performance.now());
    this.paint();
  }

  async single() {
    if (this.busy || this.game.over) return; // dreamt on, it would get its last life back
    this.pause(true);
    this.busy = true;
    await this.game.step(this.held.take(this.game.paddle));
    this.busy = false;
    this.paint();
  }

  restart() {
    this.game.restart();
    this.held.forgetTaps();
    this.pause(false);
  }

  /** A touch after a game: one that still meant to steer in it begins no other, or nobody would see the points. */
  again() {
    if (performance.now() - this.alive > SEEN) this.restart();
  }

  change(by) {
    const at = SPEEDS.indexOf(this.pace.speed) + by;
    if (at in SPEEDS) this.pace.speed = SPEEDS[at];
    this.pace.start(performance.now());
    this.paint();
  }

  toggle(name, button) {
    this[name] = !this[name];
    find(button).setAttribute("aria-pressed", this[name]);
    this.paint();
  }

  remember(shown) {
    document.body.classList.toggle("remembers", shown);
    find("remember").setAttribute("aria-pressed", shown);
    this.fit();
  }

  // --- what is shown ---

  paint() {
    const { frame } = this.game;
    for (let i = 0; i < frame.length; i++) this.pixels[i] = this.palette[frame[i]];
    this.context.putImageData(this.image, 0, 0);
    this.paintCodes();
    const { game, pace } = this;
    const over = `game over: ${game.score} points\nEnter or a touch: a new game`;
    find("note").textContent = game.over ? over : this.paused ? "paused" : game.served ? "" : "serve the ball";
    document.body.classList.toggle("over", game.over);
    document.body.classList.toggle("paused", this.paused);
    find("pause").setAttribute("aria-pressed", this.paused);
    find("speed").textContent = `${pace.speed}x`;
    if (game.steps % 15 === 0 || this.paused) this.paintNumbers();
    if (game.steps % 3 === 0 || this.paused || game.over) this.paintMemory();
  }

  paintNumbers() {
    const { measured, cost } = this.pace;
    find("numbers").textContent = measured ? `${measured.toFixed(0)} steps/s, ${cost.toFixed(1)} ms each` : "";
  }

  /** The 5 x 7 grid: code 0 says that a cell stays as it is. */
  paintCodes() {
    const canvas = find("grid"), context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.showsCodes) return;
    const [wide, high] = [canvas.width / 5, canvas.height / 7];
    context.textAlign = "center";
    context.textBaseline = "middle";
    this.game.codes.forEach((code, cell) => {
      const [x, y] = [Math.floor(cell / 7) * wide, (cell % 7) * high];
      context.strokeStyle = code ? "rgb(255 166 64 / 90%)" : "rgb(132 138 152 / 35%)";
      context.strokeRect(x + 0.5, y + 0.5, wide - 1, high - 1);
      if (!code) return;
      context.fillStyle = "rgb(255 166 64 / 16%)";
      context.fillRect(x, y, wide, high);
      context.fillStyle = "rgb(255 214 160)";
      const lines = INFO.says[code].replaceAll("; ", ", ").split(", ");
      const longest = Math.max(...lines.map((line) => line.length)); // a letter is three fifths as wide as high
      const size = Math.min(high / (1.15 * lines.length), (0.94 * wide) / (0.6 * longest), high / 3.4);
      context.font = `${size}px Mono`;
      lines.forEach((line, n) => context.fillText(line, x + wide / 2, y + high / 2 + 1.15 * size * (n + 0.5 - lines.length / 2)));
    });
  }

  row(name) {
    const row = document.createElement("tr");
    row.innerHTML = "<th></th><td></td><td><meter min=0 max=1></meter></td>";
    row.firstChild.textContent = name.replaceAll("_", " ");
    find("memory").append(row);
    return row;
  }

  paintMemory() {
    this.game.remembers.forEach(([, text, certainty], i) => {
      const [, value, meter] = this.rows[i].children;
      value.textContent = text;
      value.className = text === "not known" ? "unknown" : "";
      meter.firstChild.value = certainty;
    });
  }

  /** The picture as large as its box allows: whole multiples of its pixels near 4:3, or the largest 4:3. */
  fit() {
    const box = find("stage"), ratio = window.devicePixelRatio || 1, { rows, columns } = this.info;
    const [width, height] = [box.clientWidth * ratio, box.clientHeight * ratio];
    const wide = Math.max(1, Math.min(width, height * TELEVISION));
    let best = [wide, wide / TELEVISION], area = 0.84 * best[0] * best[1];
    for (let a = 1; a * columns <= width; a++) {
      for (let d = 1; d * rows <= height; d++) {
        const size = [a * columns, d * rows];
        if (Math.abs(Math.log(size[0] / size[1] / TELEVISION)) > STRETCH || size[0] * size[1] < area) continue;
        [best, area] = [size, size[0] * size[1]];
      }
    }
    const grid = find("grid");
    [grid.width, grid.height] = best.map(Math.floor);
    find("picture").style.width = `${best[0] / ratio}px`;
    find("picture").style.height = `${best[1] / ratio}px`;
    this.paintCodes();
  }

  // --- what is listened to ---

  listen() {
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("keyup", (event) => this.held.release(keyName(event)));
    addEventListener("blur", () => this.held.releaseAll());
    addEventListener("resize", () => this.fit());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.gone = !this.paused;
      if (this.gone) this.pause(document.hidden);
      this.gone &&= document.hidden;
    });
    for (const button of document.querySelectorAll("[data-command]")) {
      button.addEventListener("click", () => {
        this.commands[button.dataset.command]();
        button.blur(); // else the space bar would press it again
      });
    }
    for (const button of document.querySelectorAll("[data-hold]")) this.holds(button, ACTIONS[button.dataset.hold]);
    this.steer(find("picture"));
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const name = keyName(event), { play, commands } = this.info.keys;
    if (this.helps && commands[name] !== "help") this.commands.help(); // any key closes it, and does what it does
    if (name in play) {
      if (!event.repeat) this.held.press(name, play[name]);
    } else if (this.commands[commands[name]]) {
      if (!event.repeat) this.commands[commands[name]]();
    } else return;
    event.preventDefault();
  }

  holds(button, action) {
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      this.held.press(button.id, action);
      if (this.game.over) this.again();
      event.preventDefault();
    });
    for (const end of ["pointerup", "pointercancel"]) button.addEventListener(end, () => this.held.release(button.id));
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** A finger (or the mouse button) on the picture: it serves, and draws the paddle to it. */
  steer(picture) {
    const point = (event) => {
      const box = picture.getBoundingClientRect();
      this.held.point(((event.clientX - box.left) / box.width) * this.info.columns);
    };
    picture.addEventListener("pointerdown", (event) => {
      picture.setPointerCapture(event.pointerId);
      if (this.game.over) return this.again();
      if (this.paused) return this.pause(false);
      this.held.fired = true;
      point(event);
    });
    picture.addEventListener("pointermove", (event) => event.buttons && point(event));
    for (const end of ["pointerup", "pointercancel"]) picture.addEventListener(end, () => (this.held.aim = null));
  }
}

function script(source) {
  return new Promise((done, failed) => {
    const element = document.createElement("script");
    [element.src, element.onload] = [source, done];
    element.onerror = () => failed(new Error(`${source} is missing`));
    document.head.append(element);
  });
}

/** The keys of each command that the page has, for the help. */
function showHelp({ play, commands, help }, known) {
  const keys = {};
  const byAction = Object.fromEntries(Object.entries(ACTIONS).map(([name, action]) => [action, name]));
  for (const [key, action] of Object.entries(play)) (keys[byAction[action]] ??= []).push(key);
  for (const [key, name] of Object.entries(commands)) if (name in known) (keys[name] ??= []).push(key);
  for (const [name, list] of Object.entries(keys)) {
    const row = document.createElement("tr");
    row.innerHTML = "<th></th><td></td>";
    [row.firstChild.textContent, row.lastChild.textContent] = [list.join(" "), help[name]];
    find("keys").append(row);
  }
}

async function main() {
  const began = performance.now();
  try {
    await Promise.all(PARTS.map((name) => script(`parts/${name}.js`)));
    const engine = await Engine.load(parts, INFO);
    const game = new Game(engine, INFO), page = new Page(game, INFO);
    await engine.predict(engine.start, NOOP).then((guess) => engine.advance(engine.start, NOOP, guess)); // warm up
    showHelp(INFO.keys, page.commands);
    document.body.classList.remove("loading");
    page.fit();
    page.pace.start(performance.now());
    page.tick();
    window.twin = {
      game, page, loadMilliseconds: performance.now() - began,
      /** Play actions 0..3 from a new game, as fast as it goes: the CRC-32 of each frame. For tests. */
      async run(actions) {
        page.pause(true);
        const alone = new Game(engine, INFO), hashes = [];
        for (const action of actions) {
          await alone.step(action);
          hashes.push(crc32(alone.frame));
        }
        return hashes;
      },
    };
  } catch (error) {
    find("note").textContent = `the twin cannot be loaded: ${error.message}`;
    throw error;
  }
}

main();
