// The page of cellflow explore. Data come from the elements #about (JSON) and #data (base64 of a
// zlib stream of arrays, see cellflow/report/_packing.py). Text from the data is only ever set as
// textContent, never as HTML.
"use strict";

(() => {
  const about = JSON.parse(document.getElementById("about").textContent);
  const byId = (id) => document.getElementById(id);
  const GREY = [201, 204, 211];
  const INK = [51, 54, 63];
  const PAST = [93, 100, 112];
  const FUTURE = [209, 39, 90];
  const REACH = 14; // pixels around a click, or a touch of a finger, in which a cell is found
  const SECONDS = 14; // of the whole course when it plays
  const WORLD = 1000; // units of the view that the longer side of the embedding takes
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  // ---------------------------------------------------------------- data

  async function unpack() {
    const packed = Uint8Array.from(atob(byId("data").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const arrays = {};
    for (const [name, entry] of Object.entries(about.arrays)) arrays[name] = readArray(bytes, entry);
    return arrays;
  }

  function readArray(bytes, { bytes: size, shape, delta, at }) {
    const n = shape.reduce((a, b) => a * b, 1);
    const values = size === 1 ? bytes.slice(at, at + n) : new Uint16Array(n);
    if (size === 2) for (let k = 0; k < n; k++) values[k] = bytes[at + k] | (bytes[at + n + k] << 8);
    if (delta) {
      const length = shape[shape.length - 1];
      // Typed arrays wrap around as the differences did.
      for (let k = 0; k < n; k++) if (k % length) values[k] += values[k - 1];
    }
    return values;
  }

  const missing = (column) => (column.size === 1 ? 255 : 65535);

  // ---------------------------------------------------------------- small helpers

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made && name !== "list") made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  function svg(tag, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const number = (value, digits = 3) =>
    Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : "not known";

  const rgb = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));

  function paletteColour(share) {
    const place = Math.min(Math.max(share, 0), 1) * (about.palette.length - 1);
    const low = Math.floor(place);
    const high = Math.min(low + 1, about.palette.length - 1);
    return [0, 1, 2].map((k) =>
      Math.round(about.palette[low][k] + (place - low) * (about.palette[high][k] - about.palette[low][k])),
    );
  }

  // As the column of times has it, if cells were measured then and its labels are more than numbers.
  function timeText(time) {
    const point = about.points.find((each) => Math.abs(each.time - time) <= 1e-9 * Math.abs(time));
    if (point && Number.isNaN(Number(point.label))) return point.label;
    const shown = number(time, Math.max(3, Math.floor(Math.log10(Math.abs(time) || 1)) + 2));
    const unit = about.unit.replace(/s$/, "");
    const symbol = { hour: "h", minute: "min" }[unit];
    return symbol ? `${shown} ${symbol}` : `${unit || "time"} ${shown}`;
  }

  // ---------------------------------------------------------------- start

  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl || typeof DecompressionStream === "undefined") {
    byId("problem").hidden = false;
    byId("problem").textContent = gl
      ? "This browser is too old to read the data in this page. Open it in a browser of 2023 or later."
      : "This page draws with WebGL 2, which this browser does not have or has switched off. Switch on " +
        "hardware acceleration in its settings, or open the page in another browser.";
    document.body.dataset.ready = "no";
    return;
  }
  unpack().then(start, (error) => {
    byId("problem").hidden = false;
    byId("problem").textContent = `The data in this page cannot be read: ${error.message}. Write the page anew.`;
    document.body.dataset.ready = "no";
  });

  function start(arrays) {
    const grid = about.grid;
    const steps = grid.length;
    const first = grid[0];
    const last = grid[steps - 1];
    const nCells = about.n_drawn;
    const nPaths = about.n_paths;
    const names = new TextDecoder().decode(arrays.names).split("\n");
    const cellTime = arrays.time;
    const pathStart = arrays.start;
    const cellOf = []; // drawn cell of each path
    const pathOf = new Int32Array(nCells).fill(-1);
    for (let k = 0; k < nCells; k++) {
      if (arrays.moves[k]) {
        pathOf[k] = cellOf.length;
        cellOf.push(k);
      }
    }
    const palette = about.columns.map((column) => (column.colours || []).map(rgb));

    // Positions in units of the view, the same for both axes.
    const [xs, ys] = about.axes;
    const spans = [xs, ys].map((axis) => 65534 * axis.step);
    const unit = WORLD / Math.max(...spans);
    const place = (whole, axis) => (whole - 32767) * about.axes[axis].step * unit;
    const measured = new Float32Array(2 * nCells);
    for (let k = 0; k < nCells; k++) {
      measured[2 * k] = place(arrays.xy[k], 0);
      measured[2 * k + 1] = place(arrays.xy[nCells + k], 1);
    }

    const state = {
      time: first,
      playing: false,
      mode: byId("mode").value,
      background: byId("background").value,
      colour: about.colour,
      only: null, // group that is not pale
      selected: -1,
      allGenes: false,
    };

    // ------------------------------------------------------------ values and colours

    const columnValue = (column, cell) => {
      const whole = arrays[column.key][cell];
      if (column.groups) return whole;
      return whole === missing(column) ? NaN : column.low + column.step * whole;
    };

    const GENE = about.columns.length; // colours from here on are genes
    const geneValue = (gene, whole) => {
      const { low, step } = about.genes[gene];
      return whole === 255 ? NaN : low + step * whole;
    };
    const geneOfCell = (gene, cell) => geneValue(gene, arrays.genes[gene * nCells + cell]);
    const geneSteps = about.gene_grid.length;

    // Position of a time among increasing ones: the interval, and the share of it that has passed.
    function locate(times, time) {
      let k = 0;
      while (k < times.length - 2 && times[k + 1] <= time) k++;
      const share = times.length > 1 ? (time - times[k]) / (times[k + 1] - times[k]) : 0;
      return [k, Math.min(Math.max(share, 0), 1)];
    }

    function geneOnPath(gene, path, [k, share]) {
      const at = (path * about.genes.length + gene) * geneSteps + k;
      const here = geneValue(gene, arrays.path_genes[at]);
      return share ? here + share * (geneValue(gene, arrays.path_genes[at + 1]) - here) : here;
    }

    function colourOf(cell, path, clock) {
      if (state.colour >= GENE) {
        const gene = state.colour - GENE;
        const value = path < 0 ? geneOfCell(gene, cell) : geneOnPath(gene, path, clock);
        const [low, high] = about.genes[gene].shown;
        return Number.isFinite(value) ? paletteColour((value - low) / (high - low || 1)) : GREY;
      }
      const column = about.columns[state.colour];
      const value = columnValue(column, cell);
      if (column.groups) {
        const colour = palette[state.colour][value];
        return !colour || (state.only !== null && value !== state.only) ? GREY : colour;
      }
      const [low, high] = column.shown;
      return Number.isFinite(value) ? paletteColour((value - low) / (high - low || 1)) : GREY;
    }

    // ------------------------------------------------------------ layers

    const measuredColours = new Uint8Array(4 * nCells).fill(255);
    function paintMeasured() {
      const grey = state.background !== "coloured";
      for (let k = 0; k < nCells; k++) measuredColours.set(grey ? GREY : colourOf(k, -1), 4 * k);
      blocks = about.points.map(({ from, to }) => ({
        length: to - from,
        attributes: {
          getPosition: { value: measured.subarray(2 * from, 2 * to), size: 2 },
          getFillColor: { value: measuredColours.subarray(4 * from, 4 * to), size: 4 },
        },
      }));
    }
    let blocks = [];

    let active = [];
    let movedColours = new Uint8Array(0);
    function chooseMoving() {
      const [k] = locate(about.points.map((each) => each.time), state.time);
      const here = about.points[state.time >= last ? about.points.length - 1 : k];
      active = [];
      for (let path = 0; path < nPaths; path++) {
        const start = grid[pathStart[path]];
        if (
          state.mode === "all" ||
          (state.mode === "first" && start === about.first_time) ||
          (state.mode === "before" && start === here.time)
        )
          active.push(path);
      }
      state.from = state.mode === "before" ? here.time : about.first_time;
      movedColours = new Uint8Array(4 * active.length).fill(255);
    }

    function pathPlace(path, [k, share]) {
      const at = 2 * path * steps + k;
      const found = [0, 1].map((axis) => {
        const here = arrays.paths[at + axis * steps];
        return place(share ? here + share * (arrays.paths[at + axis * steps + 1] - here) : here, axis);
      });
      return found;
    }

    function movingData() {
      const clock = locate(grid, state.time);
      const geneClock = locate(about.gene_grid, state.time);
      const positions = new Float32Array(2 * active.length);
      const radii = new Float32Array(active.length).fill(1);
      const [k, share] = clock;
      const byGene = state.colour >= GENE;
      for (let i = 0; i < active.length; i++) {
        const path = active[i];
        for (let axis = 0; axis < 2; axis++) {
          const at = (2 * path + axis) * steps + k;
          const here = arrays.paths[at];
          positions[2 * i + axis] = place(share ? here + share * (arrays.paths[at + 1] - here) : here, axis);
        }
        if (byGene || repaint) movedColours.set(colourOf(cellOf[path], byGene ? path : -1, geneClock), 4 * i);
      }
      repaint = false;
      if (arrays.mass && state.mode !== "all" && active.length) {
        const { low, step } = about.mass;
        let total = 0;
        for (let i = 0; i < active.length; i++) {
          const at = active[i] * steps + k;
          const here = arrays.mass[at];
          const whole = share ? here + share * (arrays.mass[at + 1] - here) : here;
          radii[i] = Math.exp(low + step * whole);
          total += radii[i];
        }
        // Areas, not radii, are in proportion to the mass of a cell over the mean of all.
        for (let i = 0; i < active.length; i++)
          radii[i] = Math.sqrt(Math.min(Math.max((radii[i] * active.length) / total, 0.1), 6));
      }
      lastMoving = positions;
      return {
        length: active.length,
        attributes: {
          getPosition: { value: positions, size: 2 },
          getFillColor: { value: movedColours, size: 4 },
          getRadius: { value: radii, size: 1 },
        },
      };
    }
    let repaint = true;
    let lastMoving = new Float32Array(0);

    const stage = byId("stage");
    const fit = () =>
      Math.log2((0.92 * Math.min(stage.clientWidth / (spans[0] * unit || 1), stage.clientHeight / (spans[1] * unit || 1))) || 1);
    let home = fit(); // zoom of the whole view
    let current = { target: [0, 0, 0], zoom: home, minZoom: home - 2, maxZoom: home + 10 };
    // Radius of a dot in pixels: smaller where there are many, and on a small screen.
    const dot = (n) =>
      Math.min(Math.max(90 / Math.sqrt(n), 0.9), 3.5) * Math.min(Math.max(stage.clientWidth / 900, 0.6), 1);

    // Measured cells are on a canvas of their own, below. It is drawn anew when the view, the colours
    // or the nearest time point change, so that moving cells cost the same whatever is behind them.
    function nearestPoint() {
      const far = about.points.map((point) => Math.abs(point.time - state.time));
      return far.indexOf(Math.min(...far));
    }

    function groundLayers() {
      const spacing = about.points.length > 1 ? (last - first) / (about.points.length - 1) || 1 : 1;
      const [faint, more] = state.background === "coloured" ? [0.12, 0.75] : [0.35, 0.5];
      const here = about.points[near].time;
      return blocks.map(
        (data, k) =>
          new deck.ScatterplotLayer({
            id: `measured-${k}`,
            data,
            visible: state.background !== "hidden",
            opacity: faint + more * Math.max(0, 1 - Math.abs(here - about.points[k].time) / spacing),
            radiusUnits: "pixels",
            getRadius: 1,
            radiusScale: dot(nCells) * magnified(),
            parameters: { depthCompare: "always" },
          }),
      );
    }
    const magnified = () => 1.3 ** (current.zoom - home);
    let near = 0;

    function layers() {
      const found = [
        new deck.ScatterplotLayer({
          id: "moving",
          data: movingData(),
          radiusUnits: "pixels",
          radiusScale: 1.35 * dot(Math.max(active.length, 1)) * magnified(),
          stroked: active.length < 3000,
          lineWidthUnits: "pixels",
          getLineWidth: 0.5,
          getLineColor: [255, 255, 255, 160],
          parameters: { depthCompare: "always" },
        }),
      ];
      if (state.selected >= 0) found.push(...selectedLayers());
      return found;
    }

    function selectedLayers() {
      const path = pathOf[state.selected];
      const found = [];
      let here = [measured[2 * state.selected], measured[2 * state.selected + 1]];
      if (path >= 0) {
        const line = grid.map((_, k) => pathPlace(path, [k, 0]));
        const cut = pathStart[path];
        const parts = [
          { path: line.slice(0, cut + 1), colour: PAST },
          { path: line.slice(cut), colour: FUTURE },
        ].filter((part) => part.path.length > 1);
        for (const [colour, width] of [
          [[255, 255, 255], 5],
          [null, 2.4],
        ])
          found.push(
            new deck.PathLayer({
              id: `path-${width}`,
              data: parts,
              getPath: (part) => part.path,
              getColor: (part) => colour || part.colour,
              getWidth: width,
              widthUnits: "pixels",
              jointRounded: true,
              capRounded: true,
              parameters: { depthCompare: "always" },
              updateTriggers: { getPath: state.selected },
            }),
          );
        here = pathPlace(path, locate(grid, state.time));
      }
      const ring = { stroked: true, filled: false, radiusUnits: "pixels", lineWidthUnits: "pixels" };
      found.push(
        new deck.ScatterplotLayer({
          id: "ring",
          data: [
            { at: here, colour: INK, radius: 8 },
            { at: [measured[2 * state.selected], measured[2 * state.selected + 1]], colour: FUTURE, radius: 4.5 },
          ],
          ...ring,
          getPosition: (each) => each.at,
          getRadius: (each) => each.radius,
          getLineColor: (each) => each.colour,
          getLineWidth: 2.2,
          parameters: { depthCompare: "always" },
          updateTriggers: { getPosition: [state.selected, state.time] },
        }),
      );
      return found;
    }

    paintMeasured();
    chooseMoving();
    near = nearestPoint();
    let waiting = 2;
    function makeDeck(parent, content, properties) {
      return new deck.Deck({
        parent: byId(parent),
        views: new deck.OrthographicView({ id: "plane", flipY: false }),
        viewState: current,
        controller: false,
        layers: content(),
        onLoad: () => {
          // The stage is reached by tab; a second stop on a canvas would have no outline.
          byId(parent).querySelector("canvas").tabIndex = -1;
          waiting -= 1;
          if (!waiting) document.body.dataset.ready = "yes";
        },
        onError: (error) => {
          byId("problem").hidden = false;
          byId("problem").textContent = `The cells cannot be drawn: ${error.message}`;
        },
        ...properties,
      });
    }
    const ground = makeDeck("ground", groundLayers, {});
    const view = makeDeck("top", layers, {
      controller: { keyboard: false, doubleClickZoom: true, inertia: false },
      onViewStateChange: ({ viewState }) => setView(viewState),
    });
    const draw = () => view.setProps({ layers: layers() });
    function drawGround() {
      near = nearestPoint();
      ground.setProps({ layers: groundLayers() });
    }

    function setView(changes) {
      current = { ...current, ...changes };
      view.setProps({ viewState: current, layers: layers() });
      ground.setProps({ viewState: current, layers: groundLayers() });
    }
    function resetView() {
      home = fit();
      setView({ target: [0, 0, 0], zoom: home, minZoom: home - 2, maxZoom: home + 10 });
    }
    new ResizeObserver(() => {
      if (Math.abs(current.zoom - home) < 1e-9) resetView();
    }).observe(stage);
    const zoomBy = (step) =>
      setView({ zoom: Math.min(Math.max(current.zoom + step, current.minZoom), current.maxZoom) });

    // ------------------------------------------------------------ time

    const slider = byId("time");
    slider.min = first;
    slider.max = last;
    slider.step = (last - first) / 500;

    function setTime(time) {
      state.time = Math.min(Math.max(time, first), last);
      if (state.mode === "before") {
        chooseMoving();
        repaint = true;
      }
      slider.value = state.time;
      const at = about.points.find((point) => Math.abs(point.time - state.time) < (last - first) * 1e-6);
      const words = at ? `${timeText(state.time)}, cells were measured` : `${timeText(state.time)}, between measured times`;
      slider.setAttribute("aria-valuetext", words);
      byId("now").textContent = timeText(state.time);
      byId("status").textContent = describeTime(at);
      const score = nearestScore();
      byId("score").textContent = score ? score.text : about.scores_note;
      byId("score").className = `words ${score ? score.verdict : ""}`;
      for (const line of document.querySelectorAll("#genes line.now")) {
        const x = geneX(state.time);
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
      }
      if (nearestPoint() !== near) drawGround();
      draw();
    }

    function describeTime(at) {
      const shown = `${active.length.toLocaleString("en")} moving cells`;
      const from = state.mode === "all" ? "from all times" : `from ${timeText(state.from)}`;
      return at
        ? `${shown} ${from}; ${at.n.toLocaleString("en")} cells were measured at this time.`
        : `${shown} ${from}.`;
    }

    function nearestScore() {
      let best = null;
      for (const score of about.scores) {
        if (state.time >= score.from && state.time <= score.to) best = score;
      }
      return best;
    }

    slider.addEventListener("input", () => {
      stop();
      setTime(Number(slider.value));
    });

    let frame = 0;
    function play() {
      state.playing = true;
      byId("play").textContent = "Pause";
      byId("play").setAttribute("aria-pressed", "true");
      if (state.time >= last) setTime(first);
      let before = performance.now();
      let waited = 0;
      const advance = (now) => {
        if (!state.playing) return;
        if (calm.matches) {
          // Without motion: from one time point to the next, and a while at each.
          waited += now - before;
          if (waited > 1500) {
            waited = 0;
            jump(1);
          }
        } else setTime(state.time + ((now - before) / 1000 / SECONDS) * (last - first));
        before = now;
        if (state.time >= last) return stop();
        frame = requestAnimationFrame(advance);
      };
      frame = requestAnimationFrame(advance);
    }
    function stop() {
      state.playing = false;
      cancelAnimationFrame(frame);
      byId("play").textContent = "Play";
      byId("play").setAttribute("aria-pressed", "false");
    }
    const toggle = () => (state.playing ? stop() : play());
    byId("play").addEventListener("click", toggle);

    function jump(step) {
      const times = [...new Set([first, ...about.points.map((each) => each.time), last])].sort((a, b) => a - b);
      const slack = (last - first) * 1e-6;
      const ahead = step > 0 ? times.find((t) => t > state.time + slack) : times.reverse().find((t) => t < state.time - slack);
      if (ahead !== undefined) setTime(ahead);
    }

    // Ticks of time points, and how far predictions of held-out ones were off.
    const track = byId("track");
    const share = (time) => (100 * (time - first)) / (last - first);
    for (const score of about.scores) {
      const band = element("div", { className: `band ${score.verdict}`, title: score.text });
      const [from, to] = [Math.max(score.from, first), Math.min(score.to, last)];
      band.style.left = `${share(from)}%`;
      band.style.width = `${share(to) - share(from)}%`;
      band.dataset.mark = score.mark;
      band.append(element("span", { textContent: score.mark }));
      track.append(band);
    }
    const ticks = about.points.map((point) => {
      const tick = element("div", { className: "tick", title: `${point.n} cells measured` });
      tick.style.left = `${share(point.time)}%`;
      tick.append(element("span", { textContent: point.label }));
      track.append(tick);
      return tick;
    });
    function spreadLabels() {
      let right = -Infinity;
      const whole = track.getBoundingClientRect();
      for (const tick of ticks) {
        const label = tick.firstChild;
        label.hidden = false;
        label.style.transform = "";
        // Labels of the first and the last time would stand out of the track, and widen the page.
        const middle = label.getBoundingClientRect();
        const shift = Math.max(whole.left - middle.left, 0) + Math.min(whole.right - middle.right, 0);
        if (shift) label.style.transform = `translateX(calc(-50% + ${shift}px))`;
        const box = label.getBoundingClientRect();
        label.hidden = box.left < right + 4;
        if (!label.hidden) right = box.right;
      }
      // Bands have as much of their text as there is room for: all, the number, or the sign alone.
      for (const band of track.querySelectorAll(".band")) {
        const text = band.firstChild;
        const words = band.dataset.mark.split(" ");
        for (const n of [words.length, words.length - 1, 1]) {
          text.textContent = words.slice(0, n).join(" ");
          if (text.offsetWidth <= band.clientWidth - 2) break;
        }
      }
    }
    window.addEventListener("resize", spreadLabels);

    // ------------------------------------------------------------ controls

    const colourBy = byId("colour");
    const sections = [
      ["Cells", about.columns.filter((column) => !column.fate)],
      ["Fates", about.columns.filter((column) => column.fate)],
      ["Genes", about.genes],
    ];
    for (const [label, members] of sections) {
      if (!members.length) continue;
      const group = element("optgroup", { label });
      for (const member of members) {
        const place = about.columns.indexOf(member);
        const value = place < 0 ? GENE + about.genes.indexOf(member) : place;
        group.append(element("option", { value: String(value), textContent: member.name }));
      }
      colourBy.append(group);
    }
    colourBy.value = String(about.colour);
    colourBy.addEventListener("change", () => setColour(Number(colourBy.value)));

    function setColour(colour) {
      state.colour = colour;
      state.only = null;
      paintMeasured();
      repaint = true;
      showLegend();
      if (state.selected >= 0) showGenes();
      drawGround();
      draw();
    }

    function showLegend() {
      const legend = byId("legend");
      legend.replaceChildren();
      const gene = state.colour >= GENE ? about.genes[state.colour - GENE] : null;
      const column = gene || about.columns[state.colour];
      const note = gene ? about.gene_unit : column.about;
      if (note) legend.append(element("p", { className: "note", textContent: note }));
      if (column.groups) {
        const list = element("ul", { className: "groups" });
        column.groups.forEach((name, code) => {
          const swatch = element("span", { className: "swatch" });
          swatch.style.background = column.colours[code];
          const button = element("button", { type: "button", className: "group" }, swatch, name);
          button.setAttribute("aria-pressed", String(state.only === code));
          button.addEventListener("click", () => {
            state.only = state.only === code ? null : code;
            paintMeasured();
            repaint = true;
            for (const [k, each] of list.querySelectorAll("button").entries())
              each.setAttribute("aria-pressed", String(state.only === k));
            drawGround();
            draw();
          });
          list.append(element("li", {}, button));
        });
        legend.append(list);
      } else {
        const bar = element("div", { className: "bar", role: "img" });
        bar.setAttribute("aria-label", `colours from ${number(column.shown[0])} to ${number(column.shown[1])}`);
        const stops = about.palette.map((colour) => `rgb(${colour.join(",")})`);
        bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
        const ends = element(
          "div",
          { className: "ends" },
          element("span", { textContent: number(column.shown[0]) }),
          element("span", { textContent: number(column.shown[1]) }),
        );
        legend.append(bar, ends);
      }
      legend.append(
        element("p", {
          className: "note",
          textContent: gene
            ? "Moving cells: decoded along their paths. Measured cells: as measured."
            : "Moving cells have the colour of the measured cell that they start from. Grey: not known.",
        }),
      );
    }

    byId("mode").addEventListener("change", (event) => {
      state.mode = event.target.value;
      chooseMoving();
      repaint = true;
      setTime(state.time);
    });
    byId("background").addEventListener("change", (event) => {
      state.background = event.target.value;
      paintMeasured();
      drawGround();
    });
    byId("reset").addEventListener("click", resetView);

    // ------------------------------------------------------------ one cell

    function select(cell) {
      state.selected = cell;
      showCell();
      draw();
    }

    function nearest(points, x, y, n) {
      let [best, least] = [-1, Infinity];
      for (let k = 0; k < n; k++) {
        const [dx, dy] = [points[2 * k] - x, points[2 * k + 1] - y];
        const far = dx * dx + dy * dy;
        if (far < least) [best, least] = [k, far];
      }
      return [best, Math.sqrt(least)];
    }

    let pressed = null;
    stage.addEventListener("pointerdown", (event) => {
      pressed = [event.clientX, event.clientY];
    });
    stage.addEventListener("pointerup", (event) => {
      if (!pressed || Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 5) return;
      const box = stage.getBoundingClientRect();
      const [viewport] = view.getViewports();
      const [x, y] = viewport.unproject([event.clientX - box.left, event.clientY - box.top]);
      const reach = ((event.pointerType === "touch" ? 2 : 1) * REACH) / 2 ** current.zoom;
      const [moving, far] = nearest(lastMoving, x, y, active.length);
      if (moving >= 0 && far <= reach) return select(cellOf[active[moving]]);
      const [cell, away] = nearest(measured, x, y, nCells);
      if (state.background !== "hidden" && cell >= 0 && away <= reach) select(cell);
    });

    const row = (name, ...value) => element("tr", {}, element("th", { scope: "row", textContent: name }), element("td", {}, ...value));

    function shares(title, entries) {
      const table = element("table", { className: "shares" }, element("caption", { textContent: title }));
      for (const { name, value, colour } of entries) {
        const bar = element("div", { className: "share" });
        bar.style.width = `${100 * value}%`;
        bar.style.background = colour;
        table.append(row(name, element("div", { className: "sharebox" }, bar), element("span", { textContent: `${Math.round(100 * value)} %` })));
      }
      return table;
    }

    function showCell() {
      const cell = state.selected;
      const path = pathOf[cell];
      const panel = byId("cell");
      panel.replaceChildren();
      byId("hint").hidden = true;
      const point = about.points[cellTime[cell]];
      panel.append(element("h3", { textContent: names[cell] }));
      const facts = element("table", { className: "facts" }, row("measured at", point.name));
      about.columns.forEach((column) => {
        if (column.fate || column.key === "time") return;
        const value = columnValue(column, cell);
        if (column.groups) facts.append(row(column.name, column.groups[value] ?? "not known"));
        else facts.append(row(column.name, number(value)));
      });
      panel.append(facts);
      if (path < 0) {
        const button = element("button", { type: "button", textContent: "Select the nearest cell with a path" });
        button.addEventListener("click", () => {
          let [best, least] = [0, Infinity];
          cellOf.forEach((other) => {
            const far = Math.hypot(measured[2 * other] - measured[2 * cell], measured[2 * other + 1] - measured[2 * cell + 1]);
            const penalty = cellTime[other] === cellTime[cell] ? 0 : WORLD;
            if (far + penalty < least) [best, least] = [other, far + penalty];
          });
          select(best);
        });
        panel.append(
          element("p", { className: "note", textContent: `The page has the paths of ${nPaths.toLocaleString("en")} cells, and this is not one of them.` }),
          button,
        );
      }
      const fates = about.columns.filter((column) => column.fate);
      const probabilities = fates.map((column) => columnValue(column, cell));
      if (fates.length && probabilities.every(Number.isFinite)) {
        const entries = fates.map((column, k) => ({ name: column.name.replace(/^fate /, ""), value: probabilities[k], colour: column.colour }));
        panel.append(shares("Fates", entries.sort((a, b) => b.value - a.value)));
      } else panel.append(element("p", { className: "note", textContent: fates.length ? "Its fate is not known." : about.fates_note }));
      showAncestors(panel, cell, path);
      panel.append(element("div", { id: "genes" }));
      showGenes();
      byId("said").textContent = `Cell ${names[cell]}, ${point.name}. ${path < 0 ? "No path." : "Its path is drawn."}`;
    }

    function showAncestors(panel, cell, path) {
      if (!about.ancestors) {
        panel.append(element("p", { className: "note", textContent: about.ancestors_note }));
        return;
      }
      if (path < 0) return;
      const { names: groups, colours } = about.ancestors;
      const position = cellTime[cell];
      for (const [key, when] of [
        ["before", about.points[position - 1]],
        ["first", about.points[0]],
      ]) {
        if (!when || position === 0 || (key === "first" && position === 1)) continue;
        const whole = groups.map((_, k) => arrays[`ancestors_${key}`][path * groups.length + k]);
        if (whole[0] === 255) continue;
        const entries = groups.map((name, k) => ({ name, value: whole[k] / 254, colour: colours[k] }));
        const top = entries.sort((a, b) => b.value - a.value).filter((each) => each.value >= 0.005).slice(0, 8);
        panel.append(shares(`Where it comes from: its ancestors at ${when.name}`, top));
      }
    }

    const [PLOT_W, PLOT_H, LEFT, TOP] = [168, 64, 30, 6];
    const geneX = (time) => LEFT + ((time - first) / (last - first)) * (PLOT_W - LEFT - 6);

    function showGenes() {
      const panel = byId("genes");
      if (!panel) return;
      panel.replaceChildren();
      const path = pathOf[state.selected];
      if (path < 0 || !about.genes.length) return;
      const line = (gene) => about.gene_grid.map((_, k) => geneOnPath(gene, path, [k, 0]));
      const ranked = about.genes
        .map((each, gene) => {
          const values = line(gene);
          const [low, high] = each.range;
          return { gene, values, change: (Math.max(...values) - Math.min(...values)) / (high - low || 1) };
        })
        .sort((a, b) => b.change - a.change);
      const chosen = state.colour >= GENE ? state.colour - GENE : -1;
      const shown = ranked.filter((each, k) => state.allGenes || k < 6 || each.gene === chosen);
      panel.append(
        element("h4", { textContent: "Genes along its path" }),
        element("p", { className: "note", textContent: `${about.gene_unit}, decoded; dot: as measured in this cell. ${state.allGenes ? "" : "Those that change most."}` }),
      );
      const plots = element("div", { className: "plots" });
      for (const { gene, values } of shown) plots.append(plotGene(gene, values));
      panel.append(plots);
      if (ranked.length > 6) {
        const more = element("button", { type: "button", textContent: state.allGenes ? "Show fewer" : `Show all ${ranked.length} genes` });
        more.addEventListener("click", () => {
          state.allGenes = !state.allGenes;
          showGenes();
        });
        panel.append(more);
      }
    }

    function plotGene(gene, values) {
      const { name, range } = about.genes[gene];
      const [low, high] = range;
      const y = (value) => TOP + (1 - (Math.min(Math.max(value, low), high) - low) / (high - low || 1)) * (PLOT_H - TOP - 16);
      const points = values.map((value, k) => `${geneX(about.gene_grid[k]).toFixed(1)},${y(value).toFixed(1)}`);
      const text = (x, at, anchor, content) => {
        const made = svg("text", { x, y: at, "text-anchor": anchor });
        made.textContent = content;
        return made;
      };
      const cell = state.selected;
      const own = about.points[cellTime[cell]].time;
      const value = geneOfCell(gene, cell);
      const picture = svg(
        "svg",
        { viewBox: `0 0 ${PLOT_W} ${PLOT_H}`, role: "img", "aria-label": `${name}: ${number(values[0])} at ${timeText(first)}, ${number(values[values.length - 1])} at ${timeText(last)}` },
        svg("path", { class: "axis", d: `M${LEFT},${TOP}V${PLOT_H - 16}H${PLOT_W - 6}` }),
        text(LEFT - 3, TOP + 6, "end", number(high, 2)),
        text(LEFT - 3, PLOT_H - 16, "end", number(low, 2)),
        text(LEFT, PLOT_H - 4, "middle", number(first)),
        text(PLOT_W - 8, PLOT_H - 4, "end", timeText(last)),
        svg("line", { class: "now", x1: geneX(state.time), x2: geneX(state.time), y1: TOP, y2: PLOT_H - 16 }),
        svg("polyline", { class: "line", points: points.join(" ") }),
      );
      if (Number.isFinite(value)) picture.append(svg("circle", { class: "own", cx: geneX(own), cy: y(value), r: 3 }));
      return element("figure", {}, element("figcaption", { textContent: name }), picture);
    }

    // ------------------------------------------------------------ keyboard

    function step(way) {
      const path = pathOf[state.selected];
      const start = path >= 0 ? path : way > 0 ? -1 : nPaths;
      select(cellOf[(start + way + nPaths) % nPaths]);
    }
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    byId("find").addEventListener("change", (event) => {
      const wanted = event.target.value.trim();
      if (!wanted) return;
      let found = names.indexOf(wanted);
      if (found < 0) found = names.findIndex((name) => name.startsWith(wanted));
      if (found >= 0) select(found);
      else byId("said").textContent = byId("hint").textContent = `No cell of this page is called ${wanted}.`;
      if (found < 0) byId("hint").hidden = false;
    });

    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const within = event.target.closest("input, select, button, summary, a");
      const isSlider = within === slider;
      const act = (work) => {
        event.preventDefault();
        work();
      };
      const small = (last - first) / 50;
      if (within && !isSlider && event.key !== "Escape") return;
      if (event.key === " ") act(toggle);
      else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        const way = event.key === "ArrowRight" ? 1 : -1;
        act(() => {
          stop();
          if (event.shiftKey) jump(way);
          else setTime(state.time + way * small);
        });
      } else if (event.key === "Home") act(() => setTime(first));
      else if (event.key === "End") act(() => setTime(last));
      else if (event.key === "+" || event.key === "=") act(() => zoomBy(0.5));
      else if (event.key === "-") act(() => zoomBy(-0.5));
      else if (event.key === "0") act(resetView);
      else if (event.key === "n") act(() => step(1));
      else if (event.key === "p") act(() => step(-1));
      else if (event.key === "Escape") {
        state.selected = -1;
        byId("cell").replaceChildren();
        byId("hint").hidden = false;
        draw();
      }
    });

    showLegend();
    setTime(first);
    spreadLabels();

    // Where a cell is on the screen, for tests and for those who script the page.
    window.explorer = {
      state,
      names,
      measured: (cell) => toScreen([measured[2 * cell], measured[2 * cell + 1]]),
      moving: (cell) => (pathOf[cell] < 0 ? null : toScreen(pathPlace(pathOf[cell], locate(grid, state.time)))),
      hasPath: (cell) => pathOf[cell] >= 0,
      timeOf: (cell) => about.points[cellTime[cell]].time,
      setTime,
      select,
    };
    function toScreen(at) {
      const box = stage.getBoundingClientRect();
      const [x, y] = view.getViewports()[0].project([...at, 0]);
      return [x + box.left, y + box.top];
    }
  }
})();
