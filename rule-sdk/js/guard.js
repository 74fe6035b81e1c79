/**
 * Takes away what would answer differently at every build or call: chance and the clock. Imported
 * before the rule, so that a rule that asks for them is not built, or fails when it asks.
 */

function none(what) {
  return () => {
    throw new Error(`a rule has no ${what}: it answers from its arguments alone`);
  };
}

const clock = none("clock");

globalThis.Math.random = none("chance");
globalThis.Date = new Proxy(Date, {
  apply: clock,
  construct(date, args) {
    return args.length > 0 ? new date(...args) : clock();
  },
  get(date, name) {
    return name === "now" ? clock : Reflect.get(date, name);
  },
});
// The way around the proxy.
globalThis.Date.prototype.constructor = globalThis.Date;
for (const name of ["performance", "crypto", "setTimeout", "setInterval", "queueMicrotask"]) {
  delete globalThis[name];
}
