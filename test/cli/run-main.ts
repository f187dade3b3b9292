import { main } from '../../src/cli/main.ts'
import type { FakeDaemon } from './fake-daemon.ts'
import { type FakeIo, fakeIo } from './fake-io.ts'

export interface Outcome {
  readonly status: number
  readonly out: string
  readonly err: string
}

/** Runs one command line in this process against a daemon. */
export async function ckpt(
  daemon: Pick<FakeDaemon, 'socket'>,
  argv: readonly string[],
  io: FakeIo = fakeIo(),
): Promise<Outcome> {
  const status = await main(['--socket', daemon.socket, ...argv], io)
  return { status, out: io.out(), err: io.err() }
}
