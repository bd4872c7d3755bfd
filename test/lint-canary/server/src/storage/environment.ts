// Planted: the environment read outside its place. Reported: no-restricted-globals
export const path = process.env['PATH']
