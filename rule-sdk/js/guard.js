/**
 * Removes what differs between builds or calls: random numbers and the clock. It is imported before
 * the rule, so that a rule with such a call does not build, or fails at the call.
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
// Prevents a bypass of the proxy.
globalThis.Date.prototype.constructor = globalThis.Date;
for (const name of ["performance", "crypto", "setTimeout", "setInterval", "queueMicrotask"]) {
  delete globalThis[name];
}
