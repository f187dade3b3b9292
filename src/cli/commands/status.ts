import { listCheckpoints } from '../api/checkpoint-calls.ts'
import { getStatus } from '../api/host-calls.ts'
import type { AddCommand } from '../command-host.ts'
import { statusText } from '../text/status-text.ts'

export const addStatusCommand: AddCommand = (parent, host) => {
  parent
    .command('status')
    .summary('show the state of the daemon and what it is filling')
    .description(
      'Shows the state of the daemon, whether it can mount, and the progress of the project’s checkpoints that are being filled.',
    )
    .action(async () => {
      await host.act(async ({ api, answer, json }) => {
        const status = await getStatus(api)
        const checkpoints = json ? [] : await listCheckpoints(api)
        answer(status, () => statusText(status, checkpoints))
        return undefined
      })
    })
}
