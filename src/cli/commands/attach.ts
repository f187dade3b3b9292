import { type AddCommand, nonEmpty } from '../command-host.ts'
import { followCheckpoint } from '../follow.ts'

export const addAttachCommand: AddCommand = (parent, host) => {
  parent
    .command('attach')
    .summary('follow the log of a checkpoint')
    .description(
      'Shows the log of a checkpoint from its beginning and follows it until the checkpoint is ready or failed. Ctrl-C stops the watching only.',
    )
    .argument('<checkpoint>', 'its id or name', nonEmpty('the checkpoint'))
    .action(async (ref: string) => {
      await host.act((session) => followCheckpoint(session, ref))
    })
}
