import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'undici'
import { expect, test } from 'vitest'
import type { Checkpoint, VerifyEvent, VerifyReport } from '../../src/agent-protocol/checkpoint.ts'
import type { DiskUsage } from '../../src/agent-protocol/host.ts'
import type { Job } from '../../src/agent-protocol/job.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { startWebServer } from '../support/web-server.ts'

async function verify(daemon: TestDaemon, path: string): Promise<VerifyReport> {
  const client = new Client('http://localhost', { socketPath: daemon.socket })
  const { body } = await client.request({ method: 'POST', path })
  const last = (await body.text()).trim().split('\n').at(-1) ?? ''
  await client.destroy()
  const event = JSON.parse(last) as VerifyEvent
  if (event.type !== 'result') throw new Error(last)
  return event.report
}

test('damage that projects share is told to each without a word of the others', async () => {
  await using web = await startWebServer({ '/a.bin': 'shared bytes' })
  await using daemon = await startDaemon()
  const checkpoints: Record<string, Checkpoint> = {}
  for (const project of ['ours', 'theirs']) {
    const created = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
      name: `secret of ${project}`,
      project_uuid: project,
      source_type: 'web',
      source_uri: `${web.address}/a.bin`,
    })
    const path = `/checkpoint/${created.id}?project_uuid=${project}`
    await until(async () => (await daemon.ok<Checkpoint>('GET', path)).status === 'ready')
    checkpoints[project] = created
    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: `job of ${project}`,
      project_uuid: project,
      model: { checkpoints: [created.id] },
    })
    await daemon.ok(
      'POST',
      `/v1/jobs/${job.id}/workers/1/mount?wait=60&project_uuid=${project}`,
      {},
    )
  }
  const objects = join(daemon.dataDir, 'objects/host')
  const [object = ''] = readdirSync(objects)
  chmodSync(join(objects, object), 0o600)
  writeFileSync(join(objects, object), 'other bytes!')
  chmodSync(join(objects, object), 0o444)

  const id = checkpoints['ours']?.id ?? ''
  const ours = await verify(daemon, `/v1/checkpoints/${id}/verify?project_uuid=ours`)
  expect(JSON.stringify(ours)).not.toContain('theirs')
  expect(JSON.stringify(ours)).not.toContain(checkpoints['theirs']?.id)
  expect(ours.bad).toMatchObject([
    {
      kind: 'object',
      checkpoints: [{ checkpoint_uuid: id }],
      other_checkpoints: 1,
      mounted_by: [{ name: 'job of ours' }],
    },
  ])

  const all = await verify(daemon, '/v1/verify')
  expect(all.bad[0]?.checkpoints.map(({ name }) => name).toSorted()).toEqual([
    'secret of ours',
    'secret of theirs',
  ])
  expect(all.bad[0]?.other_checkpoints).toBe(0)
  const { store } = await daemon.ok<DiskUsage>('GET', '/v1/df')
  expect(store.quarantine).toBe('other bytes!'.length)
})
