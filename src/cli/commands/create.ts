import { createCheckpoint } from '../api/checkpoint-calls.ts'
import { CommandError } from '../command-error.ts'
import { type AddCommand, collect, nonEmpty } from '../command-host.ts'
import { followCheckpoint } from '../follow.ts'
import { printable } from '../text/printable.ts'

interface Options {
  readonly source: string
  readonly option?: readonly string[]
  readonly attach: boolean
}

export const addCreateCommand: AddCommand = (parent, host) => {
  parent
    .command('create')
    .summary('fill a new checkpoint from a source')
    .description(
      'Fills a new checkpoint from a source and follows its log until it is ready. Stopping to watch (Ctrl-C) does not stop the work.',
    )
    .argument('<name>', 'what it is called', nonEmpty('the name'))
    .argument('<uri>', 'where it comes from; a directory ends in "/"')
    .requiredOption('--source <type>', 'the kind of source: web')
    .option('--option <key=value>', 'an option of the source (repeatable)', collect)
    .option('--no-attach', 'return at once instead of following the log')
    .addHelpText(
      'after',
      `
Examples:
  ckpt create llama https://example.org/models/llama/ --source web
  ckpt create weights https://example.org/weights.tar.gz --source web --no-attach`,
    )
    .action(async (name: string, uri: string, options: Options) => {
      const source_options = parseSourceOptions(options.option ?? [])
      await host.act(async (session) => {
        const checkpoint = await createCheckpoint(session.api, {
          name,
          source_type: options.source,
          source_uri: uri,
          source_options,
          type: 'evefs',
        })
        if (options.attach) return followCheckpoint(session, checkpoint.id)
        session.answer(checkpoint, () => {
          const watch = session.commandLine(`attach ${printable(checkpoint.id)}`)
          return `${printable(checkpoint.id)}\nWatch it with: ${watch}\n`
        })
        return undefined
      })
    })
}

/** `k=v` each; the value is all after the first "=". */
function parseSourceOptions(pairs: readonly string[]): Record<string, string> {
  const entries = pairs.map((pair): [string, string] => {
    const at = pair.indexOf('=')
    if (at < 1) throw new CommandError('usage', `--option "${pair}" is not of the form key=value`)
    return [pair.slice(0, at), pair.slice(at + 1)]
  })
  const keys = new Set<string>()
  for (const [key] of entries) {
    if (keys.has(key)) throw new CommandError('usage', `--option ${key}= is given twice`)
    keys.add(key)
  }
  return Object.fromEntries(entries)
}
