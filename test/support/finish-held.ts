import { expect } from 'vitest'
import type { Worker } from '../../src/agent-protocol/job.ts'
import { until } from './daemon.ts'

interface Caller {
  call<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }>
}

/**
 * Reports the end of a worker (`path` is the worker's) of which a process still holds a mount,
 * and answers with the worker as soon as it says who. That may take a while: what the worker
 * wrote is flushed first.
 */
export async function finishHeld(
  caller: Caller,
  path: string,
  body: { outcome?: string; exit_code?: number } = {},
): Promise<Worker> {
  let worker: Worker | undefined
  await until(async () => {
    const answer = await caller.call<Worker>('POST', `${path}/finish?wait=1`, body)
    expect(answer).toMatchObject({ status: 202, body: { state: 'finishing' } })
    worker = answer.body
    return (worker.held_by?.length ?? 0) > 0
  })
  if (worker === undefined) throw new Error('the worker was not asked for')
  return worker
}
