import { expect, test } from 'vitest'
import { startFakeDaemon } from './fake-daemon.ts'
import { fakeIo } from './fake-io.ts'
import { checkpoint, JOB_ID, job, progress } from './resources.ts'
import { ckpt } from './run-main.ts'

const OUTPUT = { output_type: 'trainml', output_uri: 'checkpoint' }

test.each([
  ['a terminal, with a bar', true, /output of worker 1: capturing 50\.0% {2}\[#+-+\] {2}512/],
  ['a log, once', false, /^output of worker 1: capturing 50\.0% {2}512.*\n$/m],
])('job finish shows on %s how far an output is saved', async (_, isTTY, shown) => {
  const saved = Promise.withResolvers<void>()
  let looked = 0
  const unfinished = job({ data: OUTPUT, workers: [{ worker: 1, state: 'finishing' }] })
  await using daemon = await startFakeDaemon((app) => {
    app.get('/v1/jobs/:ref', () => unfinished)
    app.get('/checkpoint/:ref', () => {
      looked += 1
      if (looked === 5) saved.resolve()
      // The first one found is of another job that had the same name.
      const source_uri = looked === 1 ? 'of-another-job' : JOB_ID
      const phase = looked === 1 ? 'fetching' : 'capturing'
      return checkpoint({ status: 'downloading', source_uri, progress: progress({ phase }) })
    })
    app.post<{ Querystring: { wait: string } }>('/v1/jobs/:ref/finish', async ({ query }) => {
      if (query.wait === '0') return unfinished
      await saved.promise
      return job({ status: 'finished', data: OUTPUT, workers: [{ worker: 1, state: 'finished' }] })
    })
  })
  const io = fakeIo({ isTTY, columns: 120 })
  const { status, err } = await ckpt(daemon, ['job', 'finish', 'tune'], io)
  expect(status).toBe(0)
  expect(err).toMatch(shown)
  expect(err).not.toContain('fetching')
  if (!isTTY) expect(err.match(/capturing/g)).toHaveLength(1)
  expect(daemon.requests.map(({ line }) => line)).toContain(
    'GET /checkpoint/Job%20-%20tune?project_uuid=default',
  )
})
