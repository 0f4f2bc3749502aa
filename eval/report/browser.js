// The trajectory browser. What students and models wrote enters the document as text only
// (textContent), never as markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("browser-data").textContent);
  const at = (id) => document.getElementById(id);
  const [CODE, GRADE, OUTCOME, BITS, FEEDBACK] = [0, 1, 2, 3, 4]; // places in a turn

  // What an object itself holds by that name: an assignment may be called "constructor".
  const held = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);

  const STOPS = {
    correct: "its submission before was fully correct",
    exit: "it gave up",
    horizon: "the rollout had reached its horizon",
    logged_end: "the student submitted no more",
  };

  // ---- differences ----------------------------------------------------------------------

  // Of the table of an alignment: a giant program shall not hang the page.
  const MOST_CELLS = 4e6;
  const MOST_SIMILAR = 400;
  const MOST_TOKENS = 600;

  const equal = (x, y) => x === y;

  // Pairs [i, j] of the same items in a longest common subsequence of two lists.
  function common(a, b, same = equal) {
    let head = 0;
    while (head < a.length && head < b.length && same(a[head], b[head])) head += 1;
    let tail = 0;
    const most = Math.min(a.length, b.length) - head;
    while (tail < most && same(a[a.length - 1 - tail], b[b.length - 1 - tail])) tail += 1;
    const pairs = [];
    for (let i = 0; i < head; i += 1) pairs.push([i, i]);
    const n = a.length - head - tail;
    const m = b.length - head - tail;
    if (n && m && n * m <= MOST_CELLS) {
      const width = m + 1;
      const best = new Uint32Array((n + 1) * width);
      for (let i = n - 1; i >= 0; i -= 1) {
        for (let j = m - 1; j >= 0; j -= 1) {
          best[i * width + j] = same(a[head + i], b[head + j])
            ? best[(i + 1) * width + j + 1] + 1
            : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
        }
      }
      for (let i = 0, j = 0; i < n && j < m;) {
        if (same(a[head + i], b[head + j])) pairs.push([head + i++, head + j++]);
        else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i += 1;
        else j += 1;
      }
    }
    for (let t = tail; t > 0; t -= 1) pairs.push([a.length - t, b.length - t]);
    return pairs;
  }

  const tokens = (text) => text.match(/\w+|\s+|[^\w\s]/gu) || [];

  // Whether two lines share half of what is written in them.
  function similar(x, y) {
    const [mine, theirs] = [x, y].map((text) => tokens(text).filter((one) => one.trim()));
    if (mine.length + theirs.length > MOST_TOKENS) return x === y;
    return 4 * common(mine, theirs).length >= mine.length + theirs.length;
  }

  // Rows {left, right, same}: line numbers from 0, or null where a side has no line. Equal lines
  // stand beside each other; between them, similar ones do; what is left is paired in its order.
  function align(a, b) {
    const rows = [];
    let [i, j] = [0, 0];
    const fill = (x, y) => {
      while (i < x || j < y) {
        rows.push({ left: i < x ? i++ : null, right: j < y ? j++ : null, same: false });
      }
    };
    for (const [x, y] of [...common(a, b), [a.length, b.length]]) {
      const [from, to] = [i, j];
      if ((x - i) * (y - j) <= MOST_SIMILAR) {
        for (const [u, v] of common(a.slice(i, x), b.slice(j, y), similar)) {
          fill(from + u, to + v);
          rows.push({ left: i++, right: j++, same: false });
        }
      }
      fill(x, y);
      if (x < a.length) rows.push({ left: i++, right: j++, same: true });
    }
    return rows;
  }

  // The parts [text, differs] of a line that has another one as counterpart.
  function parts(line, other) {
    if (!similar(line, other)) return [[line, true]];
    const mine = tokens(line);
    const kept = new Set(common(mine, tokens(other)).map(([i]) => i));
    const found = [];
    mine.forEach((token, i) => {
      const differs = !kept.has(i);
      const last = found[found.length - 1];
      if (last && last[1] === differs) last[0] += token;
      else found.push([token, differs]);
    });
    return found;
  }

  const lines = (turn) => {
    if (!turn) return [];
    const text = data.programs[turn[CODE]].replace(/\r\n?/g, "\n").replace(/\n$/, "");
    return text.split("\n");
  };

  // ---- drawing --------------------------------------------------------------------------

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function row(number, pieces, kind, mark, spoken) {
    const made = element("span", undefined, `row ${kind}`);
    made.dataset.number = number === null ? "" : String(number + 1);
    made.dataset.mark = mark ? `${mark} ` : "";
    if (spoken) made.append(element("span", spoken, "visually-hidden"));
    for (const [text, differs] of pieces) {
      made.append(differs && kind !== "gone" ? element("mark", text) : text);
    }
    // A line that is shown on its own line: copied text has it, too.
    made.append("\n");
    return made;
  }

  // One side of two programs beside each other. Returns how many of its lines differ.
  function drawBeside(pane, mine, other, side) {
    const flipped = side === "right";
    const rows = flipped ? align(other, mine) : align(mine, other);
    let differing = 0;
    for (const { left, right, same } of rows) {
      const [own, theirs] = flipped ? [right, left] : [left, right];
      if (own === null) {
        const gap = element("span", "\n", "row filler");
        gap.setAttribute("aria-hidden", "true");
        pane.append(gap);
      } else if (same) {
        pane.append(row(own, [[mine[own], false]], "", ""));
      } else {
        differing += 1;
        const pieces = theirs === null ? [[mine[own], true]] : parts(mine[own], other[theirs]);
        pane.append(row(own, pieces, side, theirs === null ? "+" : "≠", "differs: "));
      }
    }
    return differing;
  }

  // A program with what changed since the one before it. Returns how many lines did.
  function drawChanges(pane, before, after) {
    let changed = 0;
    for (const { left, right, same } of align(before, after)) {
      if (same) {
        pane.append(row(right, [[after[right], false]], "", ""));
        continue;
      }
      changed += 1;
      if (left !== null) pane.append(row(null, [[before[left], true]], "gone", "−", "removed: "));
      if (right !== null) {
        const pieces = left === null ? [[after[right], true]] : parts(after[right], before[left]);
        pane.append(row(right, pieces, "right", "+", "new: "));
      }
    }
    return changed;
  }

  const verdict = (turn) => (turn ? `Grade ${turn[GRADE]}/100, ${turn[OUTCOME]}` : "");

  function feedback(turn) {
    if (!turn) return "";
    const bits = [...turn[BITS]];
    const failed = bits.flatMap((bit, i) => (bit === "1" ? [] : [i + 1]));
    // That all or none failed is in the summary.
    if (!failed.length || failed.length === bits.length) return data.feedback[turn[FEEDBACK]];
    return `${data.feedback[turn[FEEDBACK]]}\nFailed: ${failed.length > 1 ? "tests" : "test"} ${failed.join(", ")}`;
  }

  // ---- state ----------------------------------------------------------------------------

  const state = { start: 0, policy: 0, step: 1 };

  const turnsOf = (start, policy) => ({
    logged: [start.before, ...start.logged],
    played: [start.before, ...start.played[policy]],
  });

  function options(select, labels, chosen) {
    select.replaceChildren(...labels.map(([value, label]) => {
      const made = element("option", label);
      made.value = String(value);
      return made;
    }));
    select.value = String(chosen);
  }

  const unique = (values) => [...new Set(values)];

  function drawChoice() {
    const { student, assignment } = data.starts[state.start];
    const title = (id) => {
      const task = held(data.assignments, id);
      return task ? `${id}: ${task.title}` : id;
    };
    options(at("student"), unique(data.starts.map((s) => s.student)).map((s) => [s, s]), student);
    const own = data.starts.filter((s) => s.student === student);
    options(at("assignment"), unique(own.map((s) => s.assignment)).map((a) => [a, title(a)]), assignment);
    const places = data.starts.flatMap((s, i) => (
      s.student === student && s.assignment === assignment
        ? [[i, `after submission ${s.position}`]] : []));
    options(at("start"), places, state.start);
    options(at("policy"), data.policies.map((name, i) => [i, name]), state.policy);
  }

  function drawTask() {
    const task = held(data.assignments, data.starts[state.start].assignment);
    at("task").hidden = !task;
    at("task-title").textContent = task ? task.title : "";
    at("task-prompt").textContent = task ? task.prompt : "";
  }

  function drawTests(logged, played) {
    const task = held(data.assignments, data.starts[state.start].assignment);
    const shown = task && task.tests.length && logged;
    at("tests").hidden = !shown;
    const mark = (turn, i) => (!turn || !turn[BITS] ? "-" : turn[BITS][i] === "1" ? "✓ passed" : "✗ failed");
    at("test-rows").replaceChildren(...(shown ? task.tests : []).map((text, i) => {
      const made = element("tr");
      const head = element("th", `${i + 1}. ${text}`);
      head.scope = "row";
      made.append(head, element("td", mark(logged, i)), element("td", mark(played, i)));
      return made;
    }));
  }

  function drawOverview(turns, last) {
    const rows = [];
    for (let step = 0; step <= last; step += 1) {
      const made = element("tr");
      const head = element("th");
      head.scope = "row";
      const go = element("button", step ? `Step ${step}` : "Before");
      go.type = "button";
      go.dataset.step = String(step);
      head.append(go);
      made.append(head);
      for (const turn of [turns.logged[step], turns.played[step]]) {
        made.append(element("td", turn ? turn[GRADE] : "-"), element("td", turn ? turn[OUTCOME] : "-"));
      }
      rows.push(made);
    }
    at("overview-rows").replaceChildren(...rows);
  }

  function count(number, noun) {
    return `${number} ${noun}${number === 1 ? "" : "s"}`;
  }

  function drawStep() {
    const start = data.starts[state.start];
    const name = data.policies[state.policy];
    const turns = turnsOf(start, state.policy);
    const last = start.logged.length;
    const [logged, played] = [turns.logged[state.step], turns.played[state.step]];
    const number = start.position + state.step;
    at("student-title").textContent = `Student ${start.student}, submission ${number}`;
    at("policy-title").textContent = state.step ? `${name}, step ${state.step}` : `${name} starts from the same`;
    at("student-verdict").textContent = verdict(logged) || "Not in the records: no earlier rollout aims at it.";
    at("policy-verdict").textContent = verdict(played) || (state.step
      ? `No submission: ${held(STOPS, start.stops[state.policy]) || "it had stopped"}.` : "");
    const [left, right] = [lines(logged), lines(played)];
    const panes = [at("student-code"), at("policy-code")];
    for (const pane of panes) pane.replaceChildren();
    let told = "";
    if (at("highlight").value === "time" && state.step) {
      const before = [turns.logged[state.step - 1], turns.played[state.step - 1]];
      const changes = panes.map((pane, i) => {
        const after = [left, right][i];
        if (!after.length) return 0;
        // Where the submission before is not known, nothing is marked.
        return drawChanges(pane, before[i] ? lines(before[i]) : after, after);
      });
      told = `The student changed ${count(changes[0], "line")}${played ? `, the policy ${count(changes[1], "line")}` : ""}.`;
      if (!before[0]) told = "The submission before is not in the records.";
    } else {
      // Where one side is missing, the other is shown as it is.
      const counts = [
        left.length ? drawBeside(panes[0], left, right.length ? right : left, "left") : 0,
        right.length ? drawBeside(panes[1], right, left.length ? left : right, "right") : 0,
      ];
      const same = counts[0] + counts[1] === 0;
      if (logged && played) told = same ? "The programs are equal." : `${count(counts[0], "line")} of the student's and ${counts[1]} of the policy's differ.`;
    }
    at("student-feedback").textContent = feedback(logged);
    at("policy-feedback").textContent = feedback(played);
    drawTests(logged, played);
    for (const one of at("overview-rows").children) one.removeAttribute("aria-current");
    at("overview-rows").children[state.step].setAttribute("aria-current", "step");
    at("previous").setAttribute("aria-disabled", String(state.step === 0));
    at("next").setAttribute("aria-disabled", String(state.step === last));
    const place = state.step ? `Step ${state.step} of ${last}.` : `Before the first of ${count(last, "step")}.`;
    const grades = state.step && logged && played ? ` Grades: student ${logged[GRADE]}, policy ${played[GRADE]}.` : "";
    at("status").textContent = `${place}${grades} ${told}`.trim();
  }

  function draw() {
    const start = data.starts[state.start];
    drawChoice();
    drawTask();
    drawOverview(turnsOf(start, state.policy), start.logged.length);
    drawStep();
  }

  let linking = 0;

  // Make the address a link to what is shown; the page does not jump. Browsers refuse an address
  // that changes some hundred times in half a minute, so it waits until the reader does.
  function link() {
    clearTimeout(linking);
    linking = setTimeout(() => {
      history.replaceState(null, "", `#episode=${state.start}&policy=${state.policy}&step=${state.step}`);
    }, 200);
  }

  function go(step) {
    const wanted = Math.max(0, Math.min(data.starts[state.start].logged.length, step));
    if (wanted === state.step) return;
    state.step = wanted;
    drawStep();
    link();
  }

  function choose(start) {
    state.start = start;
    state.step = 1;
    draw();
    link();
  }

  // ---- events ---------------------------------------------------------------------------

  at("student").addEventListener("change", () => {
    choose(data.starts.findIndex((s) => s.student === at("student").value));
  });
  at("assignment").addEventListener("change", () => {
    const student = data.starts[state.start].student;
    choose(data.starts.findIndex((s) => s.student === student && s.assignment === at("assignment").value));
  });
  at("start").addEventListener("change", () => choose(Number(at("start").value)));
  at("policy").addEventListener("change", () => {
    state.policy = Number(at("policy").value);
    draw();
    link();
  });
  at("highlight").addEventListener("change", drawStep);
  at("previous").addEventListener("click", () => go(state.step - 1));
  at("next").addEventListener("click", () => go(state.step + 1));
  at("overview-rows").addEventListener("click", (event) => {
    const step = event.target.dataset.step;
    if (step !== undefined) go(Number(step));
  });
  at("choice").addEventListener("submit", (event) => event.preventDefault());
  at("browser").addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT" || event.altKey || event.ctrlKey || event.metaKey) return;
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way === undefined) return;
    event.preventDefault();
    go(state.step + way);
  });

  // Go where the address says: what it names wrongly is the first. Returns whether it names an
  // episode; the page has other places to link to.
  function followLink() {
    const named = new URLSearchParams(location.hash.slice(1));
    if (!named.has("episode")) return false;
    clearTimeout(linking);
    const number = (name, least, most, otherwise) => {
      const value = Number(named.get(name) ?? otherwise);
      return Number.isInteger(value) && value >= least && value <= most ? value : otherwise;
    };
    state.start = number("episode", 0, data.starts.length - 1, 0);
    state.policy = number("policy", 0, data.policies.length - 1, 0);
    state.step = number("step", 0, data.starts[state.start].logged.length, 1);
    return true;
  }

  at("episodes").hidden = false;
  const linked = followLink();
  if (!linked) {
    // Begin where there is most to step through.
    const steps = (start) => data.starts[start].logged.length;
    data.starts.forEach((_, i) => { if (steps(i) > steps(state.start)) state.start = i; });
  }
  draw();
  if (linked) at("browser").scrollIntoView();
  window.addEventListener("hashchange", () => {
    if (followLink()) draw();
  });
})();
