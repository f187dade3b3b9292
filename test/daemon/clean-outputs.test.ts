import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { expect, test } from 'vitest'
import { keepOutputsClean } from '../../src/daemon/clean-outputs.ts'
import { parseJobId, parseProject } from '../../src/model/ids.ts'
import { makeScratch } from '../support/scratch.ts'
import { openTestStore } from '../support/store.ts'

test('an output directory stays as long as it was promised, and no longer', async () => {
  await using scratch = makeScratch('outputs')
  await using store = await openTestStore(scratch.join('data'))
  const { jobs } = store.database
  const job = parseJobId(randomUUID())
  jobs.insert(
    {
      id: job,
      project: parseProject('default'),
      name: 'train',
      type: 'training',
      worker_count: 3,
      output: 'checkpoint',
      created_at_ms: 0,
    },
    [],
  )
  const directory = (name: string): string => {
    const path = join(store.layout.staging, `output.${name}`)
    mkdirSync(join(path, 'sub'), { recursive: true })
    writeFileSync(join(path, 'sub/left-out'), 'x')
    return path
  }
  const [running, kept, saved] = [1, 2, 3].map((n) => directory(`${job}.${n}`))
  const foreign = directory('of-nobody.1')
  jobs.setWorkerFinished(job, 2)
  jobs.setWorkerOutputKept(job, 2, 1_000)
  jobs.setWorkerFinished(job, 3)

  let nowMs = 999
  const stop = new AbortController()
  const log = pino({ level: 'silent' })
  const cleaning = keepOutputsClean({ store, now: () => nowMs, log }, stop.signal, 5)
  const there = (): boolean[] =>
    [running, kept, saved, foreign].map((path) => existsSync(path ?? ''))
  await expect.poll(there).toEqual([true, true, false, false])
  nowMs = 1_001
  await expect.poll(there).toEqual([true, false, false, false])
  stop.abort()
  await cleaning
})
