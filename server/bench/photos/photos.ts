// What the sides of photos.bench.ts agree on.

/** The bare loops there are: the library as anybody would call it, and the work of our processors. */
export type Loop = 'sharp' | 'functions'

/** Photos that are worked on before anything is counted: libraries are loaded, code is hot. */
export const warmUpCount = 20

/** Of the built-in pipeline for pictures. */
export const thumbnailSizes = [320, 800, 1600]
