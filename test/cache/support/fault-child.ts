// A process of its own in which steps of the store are made to fail: the parent attaches to it.
import type { Store } from '../../../src/cache/store.ts'
import { CkptdError } from '../../../src/model/errors.ts'
import { openTestStore } from '../../support/store.ts'
import { type FaultStep, STEPS, type StepName } from './fault-steps.ts'

export type Request =
  | { readonly kind: 'prepare'; readonly directory: string; readonly step: StepName }
  | { readonly kind: 'attempt' }
  | { readonly kind: 'close' }

export type Answer =
  | { readonly kind: 'prepared'; readonly calls: string; readonly paths: readonly string[] }
  /** `code` is "ok" where the step succeeded. */
  | {
      readonly kind: 'attempted'
      readonly code: string
      readonly message: string
      readonly status: string
    }
  | { readonly kind: 'closed' }

let store: Store | undefined
let step: FaultStep | undefined

async function answer(request: Request): Promise<Answer> {
  if (request.kind === 'prepare') {
    store = await openTestStore(request.directory)
    step = await STEPS[request.step](store)
    await store.database.flush()
    return { kind: 'prepared', calls: step.calls, paths: step.paths }
  }
  if (store === undefined || step === undefined) throw new Error('nothing is prepared')
  if (request.kind === 'close') {
    await store[Symbol.asyncDispose]()
    return { kind: 'closed' }
  }
  const outcome = await step.attempt().then(
    () => ({ code: 'ok', message: '' }),
    (error: unknown) => ({
      code: error instanceof CkptdError ? error.code : 'not an error of the table',
      message: String(error),
    }),
  )
  return { kind: 'attempted', ...outcome, status: statusOf(store, step) }
}

function statusOf({ database }: Store, { checkpointId }: FaultStep): string {
  try {
    return database.checkpoints.find(checkpointId ?? '')?.status ?? 'none'
  } catch (error) {
    return error instanceof CkptdError ? 'unknown' : 'broken'
  }
}

process.on('message', (request: Request) => {
  void answer(request).then((sent) => process.send?.(sent))
})
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
