/** Asked between two pieces of work, so that what was mounted and started is taken down in order. */
export const interruption: AbortSignal = abortOnSignal()

function abortOnSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => controller.abort(new Error(`ended by ${name}`)))
  return controller.signal
}
