import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { mount } from '../../src/os/linux.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { makeScratch } from '../support/scratch.ts'
import { openTestStore, publishTree } from '../support/store.ts'
import { type FaultProcess, startFaultProcess } from './support/fault-process.ts'
import { STEPS, type StepName, TREE } from './support/fault-steps.ts'
import { type MarkdownRow, readMarkdownTables } from './support/markdown-tables.ts'

const DOCUMENT = fileURLToPath(new URL('../../docs/storage-failures.md', import.meta.url))
const OPERATIONS = ['write', 'flush', 'link', 'rename', 'mkdir', 'unlink', 'database commit']
const ERRNOS = ['EIO', 'ENOSPC', 'EDQUOT', 'EMLINK', 'EXDEV', 'EROFS', 'EMFILE']

const [occurring = [], impossible = []] = readMarkdownTables(readFileSync(DOCUMENT, 'utf8'))
const listOf = (cell = ''): string[] => cell.split(', ')
const cases = occurring.flatMap((row) =>
  listOf(row['errno']).map((errno) => ({ row, errno, step: stepOf(row) })),
)

function stepOf(row: MarkdownRow): StepName {
  const name = (row['step'] ?? '').replaceAll('`', '')
  if (!Object.hasOwn(STEPS, name)) throw new Error(`the table names an unknown step: ${name}`)
  return name as StepName
}

describe('the table of storage failures', () => {
  it('says something of every operation with every error', () => {
    const listed = new Set(
      [...occurring, ...impossible].flatMap((row) =>
        listOf(row['errno']).map((errno) => `${row['operation']} × ${errno}`),
      ),
    )
    const wanted = OPERATIONS.flatMap((name) => ERRNOS.map((errno) => `${name} × ${errno}`))
    expect([...listed].toSorted()).toEqual(wanted.toSorted())
  })

  it('has a row for every step, and no case twice', () => {
    expect([...new Set(cases.map(({ step }) => step))].toSorted()).toEqual(
      Object.keys(STEPS).toSorted(),
    )
    const names = cases.map(({ step, errno }) => `${step} ${errno}`)
    expect(names).toEqual([...new Set(names)])
  })
})

describe.concurrent('a store whose disk fails', () => {
  it.each(Object.keys(STEPS) as StepName[])(
    'at the step %s does what the table says',
    async (step) => {
      await using scratch = makeScratch('faults')
      // In memory: what a disk's flushes cost is no matter here.
      mount('tmpfs', scratch.path, 'tmpfs', 0, 'size=200m')
      const own = cases.filter((one) => one.step === step)
      if (own.every(({ row }) => isFatal(row))) {
        for (const { errno } of own) {
          await takeLastStep(scratch.join(errno), step, errno)
          await assertSound(scratch.join(errno))
        }
        return
      }
      const child = processes.pop() ?? startFaultProcess()
      for (const { row, errno } of own) {
        const got = await takeStep(child, scratch.join(errno), step, errno)
        expect(got, errno).toEqual({ code: row['caller gets'], status: row['status'] })
        await assertSound(scratch.join(errno))
      }
      processes.push(child)
    },
  )
})

/** Processes that wait for their next step. That of a test that failed ends with the test file. */
const processes: FaultProcess[] = []
afterAll(async () => {
  await Promise.all(processes.map((one) => one[Symbol.asyncDispose]()))
})

function isFatal(row: MarkdownRow): boolean {
  return row['by itself']?.includes('the daemon ends') ?? false
}

/** Takes a step on a failing disk, then once more on a sound one, in one process. */
async function takeStep(child: FaultProcess, directory: string, step: StepName, errno: string) {
  const { calls, paths } = await child.ask({ kind: 'prepare', directory, step }, 'prepared')
  const faults = await child.inject(calls, errno, paths)
  const { code, status } = await child.ask({ kind: 'attempt' }, 'attempted')
  await faults[Symbol.asyncDispose]()
  const again = await child.ask({ kind: 'attempt' }, 'attempted')
  expect(again.code, `${errno}, taken again on a sound disk: ${again.message}`).toBe('ok')
  await child.ask({ kind: 'close' }, 'closed')
  return { code, status }
}

/** Takes a step that ends the process, whether before or after it can answer. */
async function takeLastStep(directory: string, step: StepName, errno: string): Promise<void> {
  await using child = startFaultProcess()
  const { calls, paths } = await child.ask({ kind: 'prepare', directory, step }, 'prepared')
  await child.inject(calls, errno, paths)
  const answered = await child
    .ask({ kind: 'attempt' }, 'attempted')
    .catch((error: unknown) => error)
  expect(await child.ended, `${errno}: how the process ends: ${String(answered)}`).toBe('SIGKILL')
}

/** A restart on a sound disk: all invariants hold, and the same tree is stored and removed. */
async function assertSound(directory: string): Promise<void> {
  await using store = await openTestStore(directory)
  await assertStoreInvariants(store)
  const id = await publishTree(store, TREE)
  expect(store.database.checkpoints.find(id)?.status).toBe('ready')
  await assertStoreInvariants(store)
}
