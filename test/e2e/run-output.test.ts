import { expect, it } from 'vitest'
import { spawnCkpt } from '../cli/spawn-ckpt.ts'
import { startDaemon } from '../support/daemon.ts'

it('ckpt run and job finish say that something was left out of an output, and where it is kept', async () => {
  await using daemon = await startDaemon({
    args: ['--container-prefix', '/opt/ckptd-test-left-out', '--keep-output-hours', '1'],
  })
  const script = 'cd "$TRAINML_OUTPUT_PATH" && echo kept >file && mkfifo pipe'
  const options = ['--name', 'tune', '--output', 'checkpoint', '--no-container']
  const ran = spawnCkpt(daemon.socket, ['run', ...options, '--', 'sh', '-c', script])
  expect(await ran.ended, ran.err()).toMatchObject({ status: 0 })
  const said = new RegExp(
    String.raw`ckpt: worker 1: not all of its output could be saved; the directory is kept at ${daemon.dataDir}/staging/output\.\S+\.1 until \d{4}-\S+Z\nhint: See what was left out, and why: ckpt attach `,
  )
  expect(ran.err()).toMatch(said)
  const again = spawnCkpt(daemon.socket, ['job', 'finish', 'tune'])
  expect(await again.ended).toMatchObject({ status: 0 })
  expect(again.out()).toContain('worker 1: not all of its output could be saved; the directory is')
})
