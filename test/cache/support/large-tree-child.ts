// The life of a large tree in a process of its own, with its memory measured along the way.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PlannedFile } from '../../../src/cache/ingest.ts'
import { planRecovery } from '../../../src/cache/recovery.ts'
import { parseRelativePath } from '../../../src/model/relative-path.ts'
import { beginIngest, openTestStore } from '../../support/store.ts'

const [, , directory = '', kind = '', countText = ''] = process.argv
const count = Number(countText)
const PAGE = 500
const store = await openTestStore(directory)
const { id, ingest } = beginIngest(store)

for (let from = 0; from < count; from += PAGE) {
  const numbers = Array.from({ length: Math.min(PAGE, count - from) }, (_, n) => from + n)
  if (kind === 'entries')
    ingest.together(() => {
      for (const n of numbers)
        ingest.addSymlink(parseRelativePath(`dir${n % 1000}/link${n}`), 'target')
    })
  else {
    const files: PlannedFile[] = numbers.map((n) => ({
      path: parseRelativePath(`dir${n % 97}/file${n}`),
      sizeBytes: undefined,
      plan: null,
    }))
    ingest.planFiles(files)
    await Promise.all(
      files.map(({ path }) => {
        const file = join(ingest.directory, ingest.newStagingName())
        writeFileSync(file, path)
        return ingest.storeFile({
          path,
          file,
          executable: false,
          sizeBytes: Buffer.byteLength(path),
        })
      }),
    )
  }
}

const publishing = await peakHeapDuring(() => store.publisher.publish(id, 0))
await store.removal.dropIngest(id)
const planning = await peakHeapDuring(async () => {
  for await (const step of planRecovery(store.context)) throw new Error(`a step: ${step.kind}`)
})
store.database.checkpoints.setStatus(id, 'removing')
const beganMs = performance.now()
const removing = await peakHeapDuring(() => store.removal.finish(id))
const removalMs = performance.now() - beganMs
await store[Symbol.asyncDispose]()
process.stdout.write(JSON.stringify({ peakHeap: { publishing, planning, removing }, removalMs }))
process.stderr.write(`removed in ${Math.round(removalMs)} ms\n`)

async function peakHeapDuring(work: () => Promise<void>): Promise<number> {
  let peak = 0
  const timer = setInterval(() => {
    globalThis.gc?.()
    peak = Math.max(peak, process.memoryUsage().heapUsed)
  }, 100)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  globalThis.gc?.()
  return Math.max(peak, process.memoryUsage().heapUsed)
}
