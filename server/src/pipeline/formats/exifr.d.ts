// exifr's entry differs between bundlers (which take its "module") and Node (which takes its UMD build, without named
// exports); this file of it is the same everywhere, and has no types of its own.

declare module 'exifr/dist/full.esm.mjs' {
  export { parse, sidecar } from 'exifr'
}
