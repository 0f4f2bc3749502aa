// What runs in the node process of one submission: the student's program, case by case.
//
// Reads its request, JSON, from the descriptor named first on its command line, answers on the
// second with one line of canonical text a case (../canonical.py), and ends. It knows the calls to
// make and the stdin to give, never an expected answer. A program can climb out of its context
// into this code and make it say anything: about that program's own values, as it could anyhow.
//
// Every case runs in a fresh context, as a script: what it names at the top is seen by the call.
// Covered: console, prompt(), require() of node's own modules and of prompt-sync, process.stdin
// and .stdout, readline, files by the descriptors 0, 1 and 2 and as /dev/stdin and the like,
// promises and timers. A program ends when nothing is left to wait for. Timers do not wait: they
// fire in the order of their times, while Date goes on as ever. What a question to the user says
// is no output, as in Python. A call that gives a promise counts as what that comes to.
// Not covered: import and export, modules in files, top-level await, handlers of process.on; what
// a program changes inside node's own modules stays changed for the cases after it.
// Not covered, either: limits and isolation, which are put on before node starts.

"use strict";
(() => {
  const fs = require("fs");
  const util = require("util");
  const vm = require("vm");
  const { builtinModules } = require("module");
  const { Console } = console;

  const PROGRAM_FILE = "<program>"; // the file name a program is compiled under
  const TEST_FILE = "<test>"; // the same for the teacher's code
  const MAX_DEPTH = 100;
  const FRAMES_SHOWN = 6;
  const ERROR_CHARS = 2000;
  const GLOBALS = [
    "AbortController", "AbortSignal", "Blob", "Buffer", "Event", "EventTarget", "TextDecoder",
    "TextEncoder", "URL", "URLSearchParams", "atob", "btoa", "performance", "queueMicrotask",
    "structuredClone",
  ];

  // What is needed after a program has run, bound before.
  const [source, sink] = process.argv.slice(-2).map(Number);
  const { writeSync } = fs;
  const end = process.reallyExit.bind(process, 0);
  const resources = process.getActiveResourcesInfo.bind(process);
  const { setImmediate: afterThis, setTimeout: later } = globalThis;
  const { isArgumentsObject, isMap, isNativeError, isPromise, isProxy, isSet } = util.types;
  const { stringify } = JSON;
  const bare = (method) => Function.prototype.call.bind(method);
  const promiseThen = bare(Promise.prototype.then);
  const setForEach = bare(Set.prototype.forEach);
  const mapForEach = bare(Map.prototype.forEach);

  // ---- values as canonical text -------------------------------------------------------------

  class TooLarge extends Error {}

  const quote = (text) =>
    stringify(text).replace(
      /[\u007f-\uffff]/g,
      (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"),
    );

  const opaque = (name) => `["o",${quote(name)}]`;

  // Only stored data is read: no getter and no trap of a proxy, so nothing of the student's runs.
  function encode(value, room) {
    try {
      return text(value, { room }, 0);
    } catch (error) {
      if (error instanceof TooLarge) return opaque("too large");
      throw error;
    }
  }

  function text(value, space, depth) {
    const container = kindOfContainer(value);
    if (!container) return spend(scalar(value, space.room), space);
    if (depth >= MAX_DEPTH) return spend(opaque("too deep"), space);
    spend('["l"]', space);
    const inner = (item) => text(item, space, depth + 1);
    const stored = (key) => {
      const property = Object.getOwnPropertyDescriptor(value, key);
      if (property?.get || property?.set) return spend(opaque("accessor"), space);
      return inner(property?.value);
    };
    const parts = [];
    if (container === "list") {
      // One by one: a list may be long and have little in it.
      for (let i = 0; i < value.length; i++) parts.push(stored(i));
      return join("l", parts);
    }
    if (container === "object") {
      for (const key of Object.keys(value)) parts.push(inner(key), stored(key));
      return join("d", parts);
    }
    const keys = [];
    if (container === "set") {
      setForEach(value, (member) => keys.push(spend(scalar(member, space.room), space)));
      return distinct(keys) ? join("s", keys.sort()) : opaque("Set");
    }
    mapForEach(value, (item, key) => {
      keys.push(spend(scalar(key, space.room), space));
      parts.push(keys[keys.length - 1], inner(item));
    });
    return distinct(keys) ? join("d", parts) : opaque("Map");
  }

  const join = (tag, parts) => (parts.length ? `["${tag}",${parts.join(",")}]` : `["${tag}"]`);

  function spend(text, space) {
    space.room -= text.length + 1;
    if (space.room < 0) throw new TooLarge();
    return text;
  }

  function kindOfContainer(value) {
    if (typeof value !== "object" || value === null || isProxy(value)) return "";
    if (Array.isArray(value)) return "list";
    if (isSet(value)) return "set";
    if (isMap(value)) return "map";
    const prototype = Object.getPrototypeOf(value);
    if (isArgumentsObject(value) || isProxy(prototype)) return "";
    const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
    return plain && typeName(value) === "Object" ? "object" : "";
  }

  // Members of sets and keys of maps are compared by value outside, and here by identity: what is
  // equal there and not here, as 1 and true and 1n are, makes the whole opaque.
  function distinct(texts) {
    const ones = { true: "1", false: "0" };
    const plain = texts.filter((text) => !text.startsWith('["o"'));
    return new Set(plain.map((text) => ones[text] ?? text)).size === plain.length;
  }

  function scalar(value, room) {
    switch (typeof value) {
      case "undefined":
        return "null";
      case "boolean":
        return String(value);
      case "number":
        return number(value);
      case "bigint":
        return bigInt(value, room);
      case "string":
        if (value.length > room) throw new TooLarge();
        return quote(value);
      case "symbol":
      case "function":
        return opaque(typeof value);
    }
    return value === null ? "null" : opaque(typeName(value));
  }

  function number(value) {
    if (Number.isNaN(value)) return '["f","nan"]';
    if (!Number.isFinite(value)) return value > 0 ? '["f","inf"]' : '["f","-inf"]';
    if (Object.is(value, -0)) return "-0.0";
    // Beyond 2^53 the digits that are written are not those of the number: it stays a float.
    if (!Number.isInteger(value) || Number.isSafeInteger(value)) return String(value);
    return String(value).includes("e") ? String(value) : `${value}.0`;
  }

  function bigInt(value, room) {
    if (BigInt.asIntN(64, value) === value) return String(value);
    const size = value < 0n ? -value : value;
    if (size >> BigInt(4 * Math.max(0, room))) throw new TooLarge();
    return `["i","${value < 0n ? "-" : ""}0x${size.toString(16)}"]`;
  }

  function typeName(value) {
    if (isProxy(value)) return "Proxy";
    const prototype = Object.getPrototypeOf(value);
    if (prototype === null || isProxy(prototype)) return "Object";
    const made = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
    if (typeof made !== "function" || isProxy(made)) return "Object";
    const name = Object.getOwnPropertyDescriptor(made, "name")?.value;
    return typeof name === "string" ? name.slice(0, 100) : "Object";
  }

  // ---- errors as text for a student ---------------------------------------------------------

  // Her own lines, the outermost call first, and the error's words: as ../python/tracebacks.py.
  function errorText(error, lines) {
    let stack = "";
    try {
      stack = String(error.stack);
    } catch {
      // Not an object, or one that will not tell.
    }
    return [...frames(stack, lines), headline(error)].join("\n").slice(0, ERROR_CHARS);
  }

  function headline(error) {
    try {
      if (!isNativeError(error)) return `Uncaught ${util.inspect(error).slice(0, 500)}`;
      let name = String(error.name);
      if (name === "Error") name = String(error.constructor.name);
      const said = String(error.message).slice(0, 500);
      return said ? `${name}: ${said}` : name;
    } catch {
      return "Error: <no message>";
    }
  }

  function frames(stack, lines) {
    const found = [...stack.matchAll(/^ {4}at (?:(.*) \()?<program>:(\d+):\d+\)?$/gm)];
    const shown = found.length > FRAMES_SHOWN ? ["... more calls ..."] : [];
    for (const [, where, line] of found.slice(0, FRAMES_SHOWN).reverse()) {
      const name = (where || "").replace(/^async |^Object\./g, "").replace(/ \[as .*/, "");
      const text = (lines[line - 1] || "").trim().slice(0, 200);
      const head = name && name !== "<anonymous>" ? `line ${line}, in ${name}` : `line ${line}`;
      shown.push(text ? `${head}\n    ${text}` : head);
    }
    return shown;
  }

  // What is wrong with code that does not compile. Nothing of the student's has run yet.
  function compileError(error) {
    const place = /^<\w+>:(\d+)\n(.*)\n( *\^+)?/.exec(error.stack);
    if (!(error instanceof SyntaxError) || !place) return `${error.name}: ${error.message}`;
    const [, line, text, caret] = place;
    const shown = [`line ${line}`];
    const from = text.length - text.trimStart().length;
    if (text.trim()) shown.push("    " + text.trim().slice(0, 200));
    if (caret && caret.length <= from + 200) shown.push("    " + caret.slice(from));
    return [...shown, `${error.name}: ${error.message}`].join("\n").slice(0, ERROR_CHARS);
  }

  // ---- what a program finds around it -------------------------------------------------------

  class Output {
    constructor(room) {
      this.parts = [];
      this.room = room;
      this.cut = false;
      this.closed = false;
    }

    write(data) {
      if (this.closed) return;
      const text = typeof data === "string" ? data : Buffer.from(data).toString();
      if (text.length > this.room) this.cut = true;
      if (this.room && text) this.parts.push(text.slice(0, this.room));
      this.room = Math.max(0, this.room - text.length);
    }

    text() {
      return this.parts.join("");
    }
  }

  // What is left of the given stdin, whichever way a program reads it.
  class Input {
    constructor(text) {
      this.bytes = Buffer.from(text);
    }

    take(size = this.bytes.length) {
      const taken = this.bytes.subarray(0, size);
      this.bytes = this.bytes.subarray(size);
      return taken;
    }

    // With its end; null when nothing is left.
    line() {
      const size = this.bytes.indexOf("\n") + 1;
      return this.bytes.length ? this.take(size || undefined) : null;
    }
  }

  // Fires in the order of the due times, at once.
  class Timers {
    constructor() {
      this.now = 0;
      this.queue = []; // the next one last
    }

    add(due, every, callback, args) {
      if (typeof callback !== "function") throw new TypeError("the callback must be a function");
      const timer = { due, every, callback, args, ref: () => timer, unref: () => timer };
      return this.insert(timer);
    }

    insert(timer) {
      let at = this.queue.length;
      while (at > 0 && this.queue[at - 1].due <= timer.due) at--;
      this.queue.splice(at, 0, timer);
      return timer;
    }

    remove(timer) {
      if (typeof timer !== "object" || timer === null) return;
      timer.every = 0;
      const at = this.queue.indexOf(timer);
      if (at >= 0) this.queue.splice(at, 1);
    }

    fire() {
      const timer = this.queue.pop();
      const { callback, args } = timer;
      this.now = timer.due;
      callback(...args);
      if (!timer.every) return;
      timer.due = this.now + timer.every;
      this.insert(timer);
    }
  }

  class Exit extends Error {
    name = "Exit";
  }

  // One run of the program: its context and what comes out of it.
  class Case {
    constructor(stdin, room, lines) {
      this.lines = lines;
      this.input = new Input(stdin);
      this.out = new Output(room);
      this.err = new Output(room);
      this.timers = new Timers();
      this.failure = null;
      this.exit = null;
      this.over = false;
      this.realm = vm.createContext(vm.constants.DONT_CONTEXTIFY);
      this.furnish();
    }

    // Run some of the student's code; its first error ends the case.
    attempt(action) {
      try {
        return action();
      } catch (error) {
        this.fail(error);
      }
    }

    fail(error) {
      if (this.over) return;
      this.over = true;
      if (this.exit && error === this.exit) return;
      const text = errorText(error, this.lines);
      const kind = /\nRangeError: Array buffer allocation failed$/.test(`\n${text}`);
      this.failure = [kind ? "memory" : "runtime", text];
    }

    // Let promises, timers and reads of files come to their end.
    async settle(enough = () => false) {
      for (;;) {
        await turn();
        if (this.over || this.exit || enough()) return;
        if (resources().length > idle) await new Promise((go) => later(go, 1));
        else if (this.timers.queue.length) this.attempt(() => this.timers.fire());
        else return;
      }
    }

    furnish() {
      const { realm, timers, out, err } = this;
      const define = (name, value) =>
        Object.defineProperty(realm, name, { value, writable: true, configurable: true });
      const term = new Console({ stdout: out, stderr: err, ignoreErrors: false, colorMode: false });
      const wait = (ms) => timers.now + (ms >= 1 && ms < 2 ** 31 ? Math.trunc(ms) : 1);
      const clear = (timer) => timers.remove(timer);
      const clock = {
        setTimeout: (callback, ms, ...args) => timers.add(wait(ms), 0, callback, args),
        setInterval: (callback, ms, ...args) =>
          timers.add(wait(ms), wait(ms) - timers.now, callback, args),
        setImmediate: (callback, ...args) => timers.add(timers.now, 0, callback, args),
        clearTimeout: clear,
        clearInterval: clear,
        clearImmediate: clear,
      };
      const promised = {
        setTimeout: (ms, value) => new Promise((go) => clock.setTimeout(go, ms, value)),
        setImmediate: (value) => new Promise((go) => clock.setImmediate(go, value)),
      };
      clock.setTimeout[util.promisify.custom] = promised.setTimeout;
      clock.setImmediate[util.promisify.custom] = promised.setImmediate;
      const prompt = () => this.input.line()?.toString().replace(/\r?\n$/, "") ?? null;
      const files = this.files();
      const student = this.process();
      const own = {
        fs: files,
        process: student,
        console: term,
        timers: clock,
        "timers/promises": promised,
        "prompt-sync": () => prompt,
      };
      const load = (name) => {
        const plain = String(name).replace(/^node:/, "");
        if (plain === "readline" || plain === "readline/promises") return silent(plain);
        if (Object.hasOwn(own, plain)) return own[plain];
        if (builtinModules.includes(plain)) return require(plain);
        throw new Error(`Cannot find module '${name}'`);
      };
      const module = { exports: {} };
      load.main = module;
      for (const name of GLOBALS) define(name, globalThis[name]);
      for (const [name, value] of Object.entries(clock)) define(name, value);
      define("console", term);
      define("prompt", prompt);
      define("process", student);
      define("require", load);
      define("module", module);
      define("exports", module.exports);
      define("global", realm);
      define("__filename", "program.js");
      define("__dirname", ".");
      // A printed error shows the program's own lines, and none of these.
      Object.defineProperty(realm.Error, "prepareStackTrace", {
        value: (error, sites) => {
          const own = sites.filter((site) => site.getFileName() === PROGRAM_FILE);
          return [headline(error), ...own.map((site) => `    at ${site}`)].join("\n");
        },
        writable: true,
        configurable: true,
      });
    }

    files() {
      const { input, out, err } = this;
      const outputs = new Map([[1, out], [2, err], ["/dev/stdout", out], ["/dev/stderr", err]]);
      const own = Object.create(fs);
      own.readFileSync = (path, options) => {
        if (path !== 0 && path !== "/dev/stdin") return fs.readFileSync(path, options);
        const encoding = typeof options === "string" ? options : options?.encoding;
        return encoding ? input.take().toString(encoding) : input.take();
      };
      own.readSync = (fd, buffer, offset, ...rest) => {
        if (fd !== 0) return fs.readSync(fd, buffer, offset, ...rest);
        const start = Number(offset?.offset ?? (typeof offset === "number" ? offset : 0));
        const size = Number(offset?.length ?? rest[0] ?? buffer.length - start);
        return input.take(size).copy(buffer, start);
      };
      own.writeFileSync = (path, data, ...rest) => {
        if (!outputs.has(path)) return fs.writeFileSync(path, data, ...rest);
        outputs.get(path).write(data);
      };
      own.writeSync = (fd, data, ...rest) => {
        if (!outputs.has(fd)) return fs.writeSync(fd, data, ...rest);
        outputs.get(fd).write(data);
        return Buffer.byteLength(data);
      };
      return own;
    }

    process() {
      const { Readable, Writable } = require("stream");
      const { input, out, err, timers } = this;
      const stream = (output, fd) =>
        Object.assign(
          new Writable({
            write(data, encoding, done) {
              output.write(data);
              done();
            },
          }),
          { fd },
        );
      // A line at a time, as if somebody typed them: a program may ask for the next one later,
      // and readline answers no question with a line that has no end.
      const ended = (line) => (line && line.at(-1) !== 10 ? `${line}\n` : line);
      const stdin = new Readable({
        read: () => timers.add(timers.now, 0, () => stdin.push(ended(input.line())), []),
      });
      const student = {
        argv: ["node", "program.js"],
        env: { ...process.env },
        exitCode: undefined,
        pid: process.pid,
        platform: process.platform,
        version: process.version,
        versions: process.versions,
        stdin: Object.assign(stdin, { fd: 0 }),
        stdout: stream(out, 1),
        stderr: stream(err, 2),
        exit: () => {
          // What comes after it, where a program catches it, is not seen any more.
          this.exit ??= new Exit("the program called process.exit()");
          out.closed = err.closed = true;
          throw this.exit;
        },
      };
      for (const name of ["cwd", "hrtime", "memoryUsage", "nextTick", "uptime"]) {
        student[name] = process[name].bind(process);
      }
      student.hrtime.bigint = process.hrtime.bigint;
      for (const name of ["on", "once", "off", "addListener"]) student[name] = () => student;
      return student;
    }
  }

  // readline that says nothing when it asks.
  function silent(name) {
    const real = require(name);
    const own = Object.create(real);
    own.createInterface = (first) => {
      const options = first.input ? first : { input: first };
      return real.createInterface({ ...options, output: undefined, terminal: false });
    };
    if (name === "readline") own.promises = silent("readline/promises");
    return own;
  }

  const turn = () => new Promise((go) => afterThis(go));

  // ---- a request ----------------------------------------------------------------------------

  function receive(size) {
    const data = Buffer.alloc(size);
    for (let at = 0; at < size; ) {
      const got = fs.readSync(source, data, at, size - at);
      if (!got) process.reallyExit(3);
      at += got;
    }
    return data;
  }

  function send(text) {
    const data = Buffer.from(text + "\n", "latin1");
    for (let at = 0; at < data.length; ) at += writeSync(sink, data, at);
  }

  const compile = (code, filename) => new vm.Script(code, { filename });
  const expression = (call) => compile(`(${call}\n)`, TEST_FILE);

  function check({ setup, calls }) {
    const problem = (action) => {
      try {
        action();
        return null;
      } catch (error) {
        return headline(error);
      }
    };
    const problems = [problem(() => compile(setup, TEST_FILE))];
    for (const call of calls) problems.push(problem(() => expression(call)));
    send(stringify(["check", ...problems]));
  }

  let current = null;
  const idle = resources().length;

  async function runProgram({ code, setup, files, cases, output_room, room }) {
    let program;
    try {
      program = compile(code.replace(/^\ufeff/, ""), PROGRAM_FILE);
    } catch (error) {
      send(`["compile",${quote(compileError(error))}]`);
      return;
    }
    const prelude = compile(setup, TEST_FILE);
    const lines = code.split(/\r\n|[\n\r\u2028\u2029]/);
    const work = process.cwd();
    process.on("uncaughtException", (error) => current.fail(error));
    process.on("unhandledRejection", (error) => current.fail(error));
    for (const [kind, given] of cases) {
      process.chdir(work);
      emptyFolder();
      for (const [name, text] of files) fs.writeFileSync(name, text);
      current = new Case(kind === "io" ? given : "", output_room, lines);
      send(await runCase(current, prelude, program, kind, given, room));
      current.over = true;
      await turn(); // what it left waiting to run is none of the next one's business
    }
    send('["end"]');
  }

  async function runCase(current, prelude, program, kind, given, room) {
    const { realm, out, err } = current;
    const options = { displayErrors: false };
    let value = current.attempt(() => {
      prelude.runInContext(realm, options);
      program.runInContext(realm, options);
      return kind === "call" ? expression(given).runInContext(realm, options) : undefined;
    });
    if (kind === "io") {
      await current.settle();
      const said = `${quote(out.text())},${out.cut},${quote(err.text())}`;
      return `["case",null,${said},${failureText(current)}]`;
    }
    if (isPromise(value)) [value] = await outcome(current, value);
    if (current.exit && !current.failure) {
      current.failure = ["runtime", errorText(current.exit, current.lines)];
    }
    const tree = current.failure ? "null" : encode(value, room);
    return `["case",${tree},${quote(out.text().slice(-1000))},false,"",${failureText(current)}]`;
  }

  // What a promise comes to, in a list; itself when it never does.
  async function outcome(current, promise) {
    let result = null;
    current.attempt(() =>
      promiseThen(
        promise,
        (value) => (result = [value]),
        (error) => current.fail(error),
      ),
    );
    await current.settle(() => result);
    return result ?? [promise];
  }

  const failureText = ({ failure }) =>
    failure ? `["${failure[0]}",${quote(failure[1])}]` : "null";

  function emptyFolder() {
    for (const name of fs.readdirSync(".")) {
      try {
        fs.rmSync(name, { recursive: true, force: true });
      } catch {
        // It stays: a path too long, or a folder that may not be read.
      }
    }
  }

  const request = JSON.parse(receive(receive(4).readUInt32BE()).toString());
  if (request.kind === "check") {
    check(request);
    end();
  } else {
    runProgram(request).then(end, () => process.reallyExit(4));
  }
})();
