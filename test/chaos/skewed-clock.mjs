// Loaded before a process of ours: its clock is wrong by so many milliseconds. Timers are not; nor is the database's.

const skewMs = Number(process.env.MILLRACE_CHAOS_SKEW_MS ?? 0)
const RealDate = Date
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + skewMs] : args))
  }
  static now() {
    return RealDate.now() + skewMs
  }
}
