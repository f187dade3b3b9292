import { type Static, Type } from 'typebox'
import { NETWORK_RULE, parseNetwork } from '../sources/network.ts'

const bytes = (description: string) => Type.Integer({ minimum: 0, description })

const network = Type.Refine(
  Type.String({ description: 'CIDR' }),
  (text) => parseNetwork(text) !== undefined,
  (text) => `"${text}" ${NETWORK_RULE}`,
)

/**
 * Every setting of the daemon and its helper: one schema for file, environment and flags, for
 * `ckptd config` and for the documentation (docs/operations.md). `mustBe` says a pattern in words.
 */
export const ConfigSchema = Type.Object(
  {
    data_dir: Type.String({ default: '/var/lib/ckptd', description: 'the store' }),
    runtime_dir: Type.String({ default: '/run/ckptd', description: 'sockets and mounts' }),
    socket_mode: Type.String({
      default: '0660',
      pattern: '^0?[0-7]{3}$',
      mustBe: 'three octal digits, like "0660"',
      description: 'mode of ckptd.sock, in octal',
    }),
    socket_group: Type.String({
      default: '',
      description: 'group of ckptd.sock; whoever may open it may act for every project',
    }),
    user: Type.String({
      default: '',
      description:
        'whom "ckptd serve" runs the daemon as: a name or a numeric id; by default the user ckptd, or 60900 where there is none',
    }),
    allow_network: Type.Array(network, {
      default: [],
      description: 'private networks that sources may be fetched from',
    }),
    sharing: Type.Union([Type.Literal('host'), Type.Literal('project')], {
      default: 'host',
      description:
        'who shares the bytes of equal files: all projects of the host, or each project its own',
    }),
    min_free_bytes: Type.Optional(
      bytes(
        'never given to transfers; by default 1 % of the filesystem, at least 1 GB, at most a tenth',
      ),
    ),
    container_prefix: Type.String({
      default: '/opt/trainml',
      // It stands in options of container runtimes that give these characters a meaning.
      pattern: '^(/(?!\\.{1,2}(/|$))[^/,:\\s\\u0000-\\u001f\\u007f]+)+$',
      mustBe: 'an absolute path without "." and "..", spaces, commas and colons',
      description: 'below it containers find checkpoint and output',
    }),
    env_prefix: Type.String({
      default: 'TRAINML',
      pattern: '^[A-Z][A-Z0-9_]*$',
      mustBe: 'of capital letters, digits and "_", beginning with a letter',
      description: 'of the environment variables that containers get',
    }),
    cdi_dir: Type.String({
      default: '/var/run/cdi',
      description: 'where CDI devices are described',
    }),
    keep_output_hours: Type.Integer({
      default: 168,
      minimum: 0,
      description: 'how long an output directory stays whose capture left something out',
    }),
    log_level: Type.Union(
      (['trace', 'debug', 'info', 'warn', 'error'] as const).map((level) => Type.Literal(level)),
      { default: 'info', description: 'the least that is logged' },
    ),
    log_format: Type.Union(
      (['auto', 'json', 'human'] as const).map((format) => Type.Literal(format)),
      { default: 'auto', description: 'auto: for people on a terminal, JSON elsewhere' },
    ),
  },
  { additionalProperties: false },
)
export type Config = Static<typeof ConfigSchema>

export const DEFAULT_CONFIG_FILE = '/etc/ckptd/config.toml'
