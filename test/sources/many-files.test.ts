import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startNginx } from './support/nginx.ts'
import { openStage } from './support/stage.ts'
import { startTransfer } from './support/transfer-run.ts'

test('twenty thousand small files come in one transfer, with one request each', {
  timeout: 600_000,
}, async () => {
  await using stage = await openStage()
  await using nginx = await startNginx(stage.scratch.path)
  for (let d = 0; d < 20; d++) {
    const directory = join(nginx.root, `tree/${d}`)
    mkdirSync(directory, { recursive: true })
    for (let n = 0; n < 1000; n++)
      writeFileSync(join(directory, `${n}.txt`), `${d}/${n} `.repeat(n % 50))
  }
  const run = await startTransfer(stage.store, stage.fetcher, `${nginx.origin}/tree/`)
  const { pinnedSource } = await run.done
  expect(pinnedSource).toContain('20000 files')
  expect(run.progress.at(-1)).toMatchObject({ files_done: 20_000, files_total: 20_000 })
  const totals = stage.store.database.entries.totals(run.id)
  expect(totals).toMatchObject({ files: 20_000, stored_files: 20_000, entries: 20_020 })
  // Every directory is listed twice.
  expect(await nginx.requests()).toHaveLength(20_000 + 2 * 21)
  expect((await stage.store.space.usage()).reservedBytes).toBe(0)
})
