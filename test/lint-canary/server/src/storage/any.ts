// Planted: a value of any type, and a promise that nobody waits for. Reported: no-explicit-any, no-floating-promises
const give = async (value: any): Promise<unknown> => value
export const start = (): void => {
  give(1)
}
