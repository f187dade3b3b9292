import { expect, test } from 'vitest'
import { type FakeDaemon, refuse, startFakeDaemon } from './fake-daemon.ts'
import { job } from './resources.ts'
import { ckpt } from './run-main.ts'

async function daemonThatRefuses(): Promise<FakeDaemon> {
  return startFakeDaemon((app) => {
    app.get('/checkpoint/:ref', () => refuse('not_found', 'there is no checkpoint "llama"'))
    app.get('/v1/jobs/:ref', () => job())
    app.post('/v1/jobs/:ref/finish', () => refuse('worker_running', 'worker 1 still runs'))
  })
}

test.each([
  ['a refusal', ['show', 'llama'], 4, 'not_found', 'there is no checkpoint "llama"'],
  ['a refusal that passes', ['job', 'finish', 'tune'], 5, 'worker_running', 'worker 1 still runs'],
  ['a wrong argument', ['show', ''], 2, 'usage', 'the checkpoint must not be empty'],
  ['a missing argument', ['show'], 2, 'usage', "missing required argument 'checkpoint'"],
  ['an unknown option', ['list', '--x'], 2, 'usage', "unknown option '--x'"],
  ['no command', [], 2, 'usage', 'no command is given'],
  ['no daemon', ['list', '--socket', '/nonexistent/s'], 3, 'unreachable', undefined],
])('with --json %s is one line of JSON on stderr', async (_, argv, status, code, message) => {
  await using daemon = await daemonThatRefuses()
  const ended = await ckpt(daemon, ['--json', ...argv])
  expect(ended.out).toBe('')
  expect(ended.status).toBe(status)
  expect(ended.err.match(/\n/g)).toHaveLength(1)
  const { error } = JSON.parse(ended.err) as { error: Record<string, unknown> }
  expect(error).toMatchObject({ code, exit_status: status })
  if (message !== undefined) expect(error['message']).toBe(message)
  expect(error['hint']).toEqual(expect.any(String))
  expect(error['retryable']).toBe(code === 'worker_running')
})

test('what stands after "--" asks for no JSON', async () => {
  await using daemon = await daemonThatRefuses()
  const { err } = await ckpt(daemon, ['run', '--name', 'tune', '--', 'podman', 'ps', '--json'])
  expect(err).toMatch(/^ckpt: /)
})
